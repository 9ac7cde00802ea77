#include "blkimage/saved_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "blkimage/file_bytes.h"

namespace splitring {
namespace {

// Longer than a tick of any kernel (10 ms), by which files' times move on.
constexpr int64_t kClockTickNs = 20'000'000;

int64_t to_ns(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

Result<> write_whole(int fd, std::span<const std::byte> front, uint64_t body_at,
                     std::span<const std::byte> body) {
  TRY_VOID(write_file_bytes(fd, 0, front));
  TRY_VOID(write_file_bytes(fd, body_at, body));
  if (::fsync(fd) != 0) return fail_errno("fsync", errno);
  return {};
}

}  // namespace

Result<ImageIdentity> identify_image(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return fail_errno(path, errno);
  if (!S_ISREG(facts.st_mode))
    return fail(Errc::kUnsupported, path + ": no regular file, so no index can be kept beside it");
  return ImageIdentity{.device = facts.st_dev,
                       .inode = facts.st_ino,
                       .bytes = static_cast<uint64_t>(facts.st_size),
                       .modified_ns = to_ns(facts.st_mtim),
                       .changed_ns = to_ns(facts.st_ctim)};
}

Result<ImageIdentity> identify_settled_image(const std::string& path) {
  const ImageIdentity image = TRY(identify_image(path));
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age = to_ns(now) - image.changed_ns;
  if (age >= 0 && age < kClockTickNs) {
    const timespec rest{0, kClockTickNs - age};
    ::nanosleep(&rest, nullptr);
  }
  return image;
}

Result<SavedFile> open_saved_file(const std::string& path) {
  SavedFile saved{UniqueFd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC))};
  if (!saved.file) return fail_errno(path, errno);
  struct stat facts {};
  if (::fstat(saved.file.get(), &facts) != 0) return fail_errno(path, errno);
  if (!S_ISREG(facts.st_mode)) return fail(Errc::kPermission, path + ": no regular file");
  if ((facts.st_uid != ::geteuid() && facts.st_uid != 0) || (facts.st_mode & 022) != 0)
    return fail(Errc::kPermission, path + ": others may write it, so it is not believed");
  saved.bytes = static_cast<uint64_t>(facts.st_size);
  return saved;
}

// Under another name first, so that a reader finds the old one or the new one.
Result<> replace_saved_file(const std::string& path, std::span<const std::byte> front,
                            uint64_t body_at, std::span<const std::byte> body) {
  const std::string fresh = path + ".new-" + std::to_string(::getpid());
  const UniqueFd file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return fail_errno(fresh, errno);
  Result<> done = write_whole(file.get(), front, body_at, body);
  if (done && ::rename(fresh.c_str(), path.c_str()) != 0) done = fail_errno(path, errno);
  if (!done) ::unlink(fresh.c_str());
  return done;
}

uint64_t saved_digest(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace splitring
