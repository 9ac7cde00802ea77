#include "tools/kiosk/http/prepared.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "tools/kiosk/http/response_head.h"

namespace splitring::http {
namespace {

// From here on the pages of a file are cheaper to send than a copy.
constexpr size_t kLeastInFile = size_t{48} << 10;

}  // namespace

void Prepared::Unmap::operator()(char* memory) const noexcept { ::munmap(memory, bytes); }

// False: keep it in memory then.
bool Prepared::put_in_file(std::span<const std::byte> body) {
  UniqueFd file(::memfd_create("kiosk", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(body.size())) != 0) return false;
  void* const memory =
      ::mmap(nullptr, body.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return false;
  mapped_ = {static_cast<char*>(memory), Unmap{body.size()}};
  // By a write, which fails where a touched page would be a signal.
  if (::pwrite(file.get(), body.data(), body.size(), 0) != static_cast<ssize_t>(body.size()))
    return false;
  file_ = std::move(file);
  return true;
}

PreparedRef Prepared::make(const Response& response, std::span<const std::byte> body,
                           std::shared_ptr<uint64_t> live_bytes) {
  const ResponseHead head = make_head(response, body.size());
  PreparedRef made(new Prepared(std::move(live_bytes)));
  const bool in_file = body.size() >= kLeastInFile && made->put_in_file(body);
  made->head_bytes_ = head.text.size();
  made->bytes_ = head.text.size() + (in_file ? 0 : body.size());
  made->memory_.reset(new (std::nothrow) char[made->bytes_]);
  if (made->memory_ == nullptr) return {};
  std::memcpy(made->memory_.get(), head.text.data(), head.text.size());
  if (!in_file && !body.empty())
    std::memcpy(made->memory_.get() + head.text.size(), body.data(), body.size());
  made->date_at_ = head.date_at;
  made->status_ = response.status;
  made->cost_ = cost(body.size());
  *made->live_bytes_ += made->cost_;
  return made;
}

void Prepared::set_date(std::time_t now, std::string_view http_date) {
  if (now == date_) return;
  date_ = now;
  std::memcpy(memory_.get() + date_at_, http_date.data(), kHttpDateBytes);
}

}  // namespace splitring::http
