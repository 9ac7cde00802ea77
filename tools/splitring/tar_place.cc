#include "tools/splitring/tar_place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <ctime>

namespace splitring::tools {
namespace {

constexpr mode_t kNewDirectory = 0755;
constexpr mode_t kNewFile = 0600;  // until its bytes are there

tl::unexpected<Error> fail_at(std::string_view path, int error_number) {
  const std::string name = printable_name(path);
  if (error_number == EXDEV)
    return fail(Errc::kInvalid, name + ": the name leads out of the directory");
  if (error_number == ELOOP) return fail(Errc::kInvalid, name + ": a symbolic link is in the way");
  return fail_errno(name, error_number);
}

bool is_outside(std::string_view path) {
  if (path.empty() || path.starts_with('/') || path.find('\0') != std::string_view::npos)
    return true;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return false;
}

std::array<timespec, 2> times_of(const TarEntry& entry) {
  const timespec modified{entry.mtime_s, entry.mtime_ns};
  return {timespec{0, UTIME_OMIT}, modified};
}

}  // namespace

Result<TarPlace> TarPlace::open(const std::string& directory, bool overwrite, bool same_owner) {
  if (::mkdir(directory.c_str(), kNewDirectory) != 0 && errno != EEXIST)
    return fail_errno(directory, errno);
  UniqueFd root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_errno(directory, errno);
  return TarPlace(std::move(root), overwrite, same_owner);
}

Result<UniqueFd> TarPlace::open_below(std::string_view path, uint64_t flags) const {
  if (is_outside(path)) return fail_at(path, EXDEV);
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const std::string name(path);
  // glibc 2.36 has no wrapper.
  UniqueFd opened(
      static_cast<int>(::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how)));
  if (!opened) return fail_at(path, errno);
  return opened;
}

Result<TarPlace::Parent> TarPlace::parent_of(std::string_view path, bool make) const {
  if (is_outside(path)) return fail_at(path, EXDEV);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    UniqueFd directory(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
    if (!directory) return fail_errno("duplicating a descriptor", errno);
    return Parent{std::move(directory), std::string(path)};
  }
  auto directory = open_below(path.substr(0, slash), O_PATH | O_DIRECTORY);
  if (!directory && directory.error().code == Errc::kNotFound && make) {
    TRY_VOID(make_directory(path.substr(0, slash)));
    directory = open_below(path.substr(0, slash), O_PATH | O_DIRECTORY);
  }
  return Parent{TRY(std::move(directory)), std::string(path.substr(slash + 1))};
}

// Recursion through parent_of is bounded by the depth of an index's paths.
Result<> TarPlace::make_directory(std::string_view path) const {
  const Parent parent = TRY(parent_of(path, true));
  if (::mkdirat(parent.directory.get(), parent.name.c_str(), kNewDirectory) == 0) return {};
  if (errno != EEXIST) return fail_at(path, errno);
  if (open_below(path, O_PATH | O_DIRECTORY)) return {};
  if (!overwrite_) return fail_at(path, EEXIST);
  if (::unlinkat(parent.directory.get(), parent.name.c_str(), 0) != 0 ||
      ::mkdirat(parent.directory.get(), parent.name.c_str(), kNewDirectory) != 0)
    return fail_at(path, errno);
  return {};
}

Result<> TarPlace::make_room(const Parent& parent, std::string_view path) const {
  if (!overwrite_) return {};
  if (::unlinkat(parent.directory.get(), parent.name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return fail_at(path, errno);
  if (::unlinkat(parent.directory.get(), parent.name.c_str(), AT_REMOVEDIR) != 0)
    return fail_at(path, errno);
  return {};
}

Result<UniqueFd> TarPlace::make_file(std::string_view path) const {
  const Parent parent = TRY(parent_of(path, true));
  TRY_VOID(make_room(parent, path));
  UniqueFd file(::openat(parent.directory.get(), parent.name.c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kNewFile));
  if (!file) return fail_at(path, errno);
  return file;
}

Result<> TarPlace::make_symlink(std::string_view path, std::string_view target) const {
  const Parent parent = TRY(parent_of(path, true));
  TRY_VOID(make_room(parent, path));
  if (::symlinkat(std::string(target).c_str(), parent.directory.get(), parent.name.c_str()) != 0)
    return fail_at(path, errno);
  return {};
}

Result<> TarPlace::make_hard_link(std::string_view path, std::string_view existing) const {
  const Parent from = TRY(parent_of(existing, false));
  const Parent parent = TRY(parent_of(path, true));
  TRY_VOID(make_room(parent, path));
  // Flags 0: the name itself, were it a symbolic link.
  if (::linkat(from.directory.get(), from.name.c_str(), parent.directory.get(), parent.name.c_str(),
               0) != 0)
    return fail_at(path, errno);
  return {};
}

Result<UniqueFd> TarPlace::open_existing(std::string_view path) const {
  return open_below(path, O_RDONLY | O_NONBLOCK);
}

Result<std::string> TarPlace::read_symlink(std::string_view path) const {
  const Parent parent = TRY(parent_of(path, false));
  std::array<char, PATH_MAX> target{};
  const ssize_t bytes =
      ::readlinkat(parent.directory.get(), parent.name.c_str(), target.data(), target.size());
  if (bytes < 0) return fail_at(path, errno);
  return std::string(target.data(), static_cast<size_t>(bytes));
}

Result<> TarPlace::set_metadata(int fd, const TarEntry& entry) const {
  if (same_owner_ && ::fchown(fd, entry.uid, entry.gid) != 0) return fail_at(entry.path, errno);
  const mode_t kept = same_owner_ ? 07777 : 0777;
  if (::fchmod(fd, entry.mode & kept) != 0) return fail_at(entry.path, errno);
  if (::futimens(fd, times_of(entry).data()) != 0) return fail_at(entry.path, errno);
  return {};
}

Result<> TarPlace::set_link_metadata(const TarEntry& entry) const {
  const Parent parent = TRY(parent_of(entry.path, false));
  const int at = parent.directory.get();
  const char* name = parent.name.c_str();
  if (same_owner_ && ::fchownat(at, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_at(entry.path, errno);
  if (::utimensat(at, name, times_of(entry).data(), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_at(entry.path, errno);
  return {};
}

}  // namespace splitring::tools
