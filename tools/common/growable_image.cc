#include "tools/common/growable_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "blkimage/disk_uri.h"

namespace splitring::tools {
namespace {

constexpr mode_t kNewFile = 0644;  // less what the umask takes

}  // namespace

std::optional<std::string> growable_image(const std::string& uri) {
  const auto parsed = parse_disk_uri(uri);
  if (!parsed || parsed->scheme != "raw" || parsed->partition != 0) return std::nullopt;
  struct stat facts {};
  if (::stat(parsed->target.c_str(), &facts) != 0)
    return errno == ENOENT ? std::optional(parsed->target) : std::nullopt;
  return S_ISREG(facts.st_mode) ? std::optional(parsed->target) : std::nullopt;
}

Result<> grow_image(const std::string& path, uint64_t bytes) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kNewFile));
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0) return fail_errno(path, errno);
  if (static_cast<uint64_t>(facts.st_size) >= bytes) return {};
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return fail_errno(path, errno);
  return {};
}

std::optional<uint64_t> image_bytes(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return std::nullopt;
  return static_cast<uint64_t>(facts.st_size);
}

void restore_image(const std::string& path, std::optional<uint64_t> bytes) {
  // Nobody could be told what goes wrong: that something did is being told.
  if (bytes)
    static_cast<void>(::truncate(path.c_str(), static_cast<off_t>(*bytes)) == 0);
  else
    ::unlink(path.c_str());
}

Result<bool> create_image(const std::string& path, uint64_t bytes) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kNewFile));
  if (!file && errno == EEXIST) return false;
  if (!file) return fail_errno("making " + path, errno);
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) == 0) return true;
  const int error = errno;
  ::unlink(path.c_str());
  return fail_errno("making " + path, error);
}

}  // namespace splitring::tools
