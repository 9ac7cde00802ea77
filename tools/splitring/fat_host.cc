// Files between the host and a FAT volume, whole trees at a time.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/unique_fd.h"
#include "tools/splitring/fat_user.h"

namespace splitring::tools {
namespace {

namespace stdfs = std::filesystem;

Result<> write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(path, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

enum class HostKind : uint8_t { kFile, kDirectory, kOther };
struct HostItem {
  std::string path;
  HostKind kind;
};

// Known from the listing, as long as nobody asks where a link leads.
HostKind kind_of(const stdfs::directory_entry& entry) {
  std::error_code error;
  if (entry.is_symlink(error)) return HostKind::kOther;
  if (entry.is_directory(error)) return HostKind::kDirectory;
  return entry.is_regular_file(error) ? HostKind::kFile : HostKind::kOther;
}

// Everything below a directory, in the order of the paths.
Result<std::vector<HostItem>> items_below(const stdfs::path& top) {
  std::vector<HostItem> items;
  std::error_code error;
  for (auto it = stdfs::recursive_directory_iterator(top, error);
       !error && it != stdfs::recursive_directory_iterator(); it.increment(error))
    items.push_back({it->path().native(), kind_of(*it)});
  if (error) return fail_errno(top.native(), error.value());
  std::ranges::sort(items, {}, &HostItem::path);
  return items;
}

}  // namespace

Result<> FatUser::copy_file_in(const std::string& host_path, const std::string& path) {
  const UniqueFd file(::open(host_path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts {};
  if (!file || ::fstat(file.get(), &facts) != 0) return fail_errno(host_path, errno);
  off_t copied = 0;
  bool ended = false;  // a short read that comes to the file's size is its last
  const auto source = [&](std::span<std::byte> out) -> Result<size_t> {
    while (!ended) {
      const ssize_t count = ::read(file.get(), out.data(), out.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno(host_path, errno);
      copied += count;
      ended = static_cast<size_t>(count) < out.size() && copied == facts.st_size;
      return static_cast<size_t>(count);
    }
    return 0;
  };
  return write(
      path, source,
      {.bytes = static_cast<uint64_t>(facts.st_size),
       .beside = BufferRelay::Beside::kSource,
       .modified = FatTime{facts.st_mtim.tv_sec, static_cast<uint32_t>(facts.st_mtim.tv_nsec)}});
}

Result<> FatUser::copy_in(const std::string& host_path, const std::string& path) {
  std::error_code error;
  const stdfs::path top = stdfs::path(host_path).lexically_normal();
  const auto status = stdfs::status(top, error);
  if (!stdfs::exists(status)) return fail(Errc::kNotFound, host_path + ": no such file");
  stdfs::path name = top.filename();
  // "." is what a directory holds, whatever it is called.
  const bool is_dot = stdfs::path(host_path).filename() == ".";
  if (name.empty()) name = top.parent_path().filename();
  const bool nameless = is_dot || name.empty() || name == "." || name == "..";
  const std::string target = nameless ? fat_path(path) : TRY(target_of(name.string(), path));
  if (!stdfs::is_directory(status)) return copy_file_in(host_path, target);
  if (!target.empty()) TRY_VOID(make_directory(target, true));
  const size_t prefix = top.native().size() + (top.has_filename() ? 1 : 0);
  // By name, so that what is in a directory follows it, and comes in the same order everywhere.
  for (const HostItem& item : TRY(items_below(top))) {
    const std::string relative = item.path.substr(prefix);
    const std::string there = target.empty() ? relative : target + "/" + relative;
    if (item.kind == HostKind::kDirectory)
      TRY_VOID(make_directory(there, true));
    else if (item.kind == HostKind::kFile)
      TRY_VOID(copy_file_in(item.path, there));
    else
      tally_.left_out.push_back(item.path);
  }
  return {};
}

Result<> FatUser::copy_file_out(const std::string& path, const std::string& host_path,
                                bool overwrite) {
  const FatStat stat = TRY(this->stat(fat_path(path)));
  // Nothing is followed: a name out of an image leads nowhere but where it is put.
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (overwrite ? O_TRUNC : O_EXCL);
  const UniqueFd file(::open(host_path.c_str(), flags, stat.flags.read_only ? 0444 : 0644));
  if (!file) return fail_errno(host_path, errno);
  TRY_VOID(read(path, [&](std::span<const std::byte> bytes) {
    return write_all(file.get(), bytes, host_path);
  }));
  const timespec modified{.tv_sec = stat.modified.s, .tv_nsec = 0};
  const std::array<timespec, 2> times{modified, modified};
  if (::futimens(file.get(), times.data()) != 0) return fail_errno(host_path, errno);
  tally_.files++;
  return {};
}

Result<> FatUser::copy_out(const std::string& path, const std::string& host_path, bool overwrite) {
  const std::string source = fat_path(path);
  const FatStat stat = TRY(this->stat(source));
  std::error_code error;
  std::string target = host_path;
  if (stdfs::is_directory(target, error) && !source.empty()) target += "/" + fat_name_of(source);
  if (!stat.is_directory) return copy_file_out(source, target, overwrite);
  const auto make = [&](const std::string& directory) -> Result<> {
    if (::mkdir(directory.c_str(), 0777) == 0) {
      tally_.directories++;
      return {};
    }
    const int failure = errno;
    struct stat facts {};
    if (failure == EEXIST && ::lstat(directory.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode))
      return {};
    return fail_errno(directory, failure);
  };
  TRY_VOID(make(target));
  std::vector<std::pair<std::string, bool>> below;
  TRY_VOID(list(source, true, [&](const std::string& found, const FatEntry& entry) {
    below.emplace_back(found, entry.stat.is_directory);
  }));
  for (const auto& [found, is_directory] : below) {
    const std::string relative = source.empty() ? found : found.substr(source.size() + 1);
    const std::string there = target + "/" + relative;
    TRY_VOID(is_directory ? make(there) : copy_file_out(found, there, overwrite));
  }
  return {};
}

}  // namespace splitring::tools
