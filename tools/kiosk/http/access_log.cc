#include "tools/kiosk/http/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace splitring::http {

namespace {

Result<UniqueFd> open_log(const std::string& path) {
  UniqueFd fd(path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                          : ::open(path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640));
  if (!fd) return fail_errno("access log " + path, errno);
  return fd;
}

}  // namespace

Result<AccessLog> AccessLog::open(const std::string& path) {
  return AccessLog(path, TRY(open_log(path)));
}

Result<> AccessLog::reopen() const {
  const UniqueFd fresh = TRY(open_log(path_));
  // At once for all threads: none of them sees a moment without a log.
  if (::dup3(fresh.get(), fd_.get(), O_CLOEXEC) < 0) return fail_errno(path_, errno);
  return {};
}

void AccessLog::write(std::string_view lines) const {
  while (!lines.empty()) {
    const ssize_t written = ::write(fd_.get(), lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // a full disk must not stop the service
    lines.remove_prefix(static_cast<size_t>(written));
  }
}

std::string escape_log(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\')
      escaped += c;
    else
      escaped += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return escaped;
}

void append_log_line(std::string& out, std::string_view client, std::time_t when,
                     std::string_view request_line, unsigned status, uint64_t body_bytes) {
  std::tm utc{};
  ::gmtime_r(&when, &utc);
  std::array<char, 40> date;
  const size_t size = std::strftime(date.data(), date.size(), "%d/%b/%Y:%H:%M:%S +0000", &utc);
  out.append(client).append(" - - [").append(date.data(), size).append("] \"");
  out.append(request_line).append("\" ").append(std::to_string(status)).append(" ");
  out.append(std::to_string(body_bytes)).append("\n");
}

}  // namespace splitring::http
