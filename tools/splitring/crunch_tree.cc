#include "tools/splitring/crunch_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "kv/key.h"

namespace splitring::tools {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

// What the kernel says of a link, in words.
const char* link_trouble(int error_number) {
  switch (error_number) {
    case EXDEV: return "a symbolic link that leads out of the directory";
    case ELOOP: return "a symbolic link that leads round in a circle";
    case ENOENT: return "a symbolic link that leads nowhere";
    default: return nullptr;
  }
}

}  // namespace

Result<CrunchTree> CrunchTree::open(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(directory, errno);
  return CrunchTree(directory, std::move(fd));
}

std::string CrunchTree::place(const std::string& key) const {
  return name_ + ": " + kv::printable_key(key);
}

// The kernel itself keeps the way from leading out, whatever changes meanwhile.
Result<UniqueFd> CrunchTree::open_below(const std::string& key, uint64_t flags) const {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if ((flags & O_PATH) != 0) how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, directory_.get(),
                                         key.empty() ? "." : key.c_str(), &how, sizeof(how))));
  if (fd) return fd;
  const int error_number = errno;
  if (const char* const trouble = link_trouble(error_number); trouble != nullptr)
    return fail(Errc::kInvalid, place(key) + " is " + trouble + "; remove it or what it means");
  return fail_errno(place(key), error_number);
}

Result<std::vector<std::string>> CrunchTree::names_in(const std::string& key) const {
  UniqueFd fd = TRY(open_below(key, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd.get()));
  if (directory == nullptr) return fail_errno(place(key), errno);
  (void)fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return fail_errno(place(key), errno);
  return names;
}

Result<kv::CompiledMember> CrunchTree::read_value(const std::string& key, const Sink& sink) const {
  const UniqueFd fd = TRY(open_below(key, O_RDONLY));
  kv::CompiledMember value{.key = key};
  kv::DigestBuilder digest;
  std::array<std::byte, kReadBytes> buffer;
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(place(key), errno);
    if (got == 0) break;
    const auto bytes = std::span<const std::byte>(buffer).first(static_cast<size_t>(got));
    digest.add(bytes);
    value.size += bytes.size();
    TRY_VOID(sink(bytes));
  }
  value.digest = digest.finish();
  return value;
}

Result<> CrunchTree::read(const kv::CompiledMember& value, const Sink& sink) const {
  const auto again = TRY(read_value(value.key, sink));
  if (again.size != value.size || again.digest != value.digest)
    return fail(Errc::kConflict, place(value.key) + " changed while it was read; run it again");
  return {};
}

Result<> CrunchTree::take(const std::string& key, const Level& level, std::vector<Level>& todo,
                          std::vector<kv::CompiledMember>& members) const {
  if (!kv::is_normal_key(key))
    return fail(Errc::kInvalid, place(key) + ": too long or too deep for a key");
  if (members.size() == kMaxCrunched)
    return fail(Errc::kLimit, place(key) + ": more than 4,000,000 files and directories");
  struct stat status {};
  const UniqueFd fd = TRY(open_below(key, O_PATH));
  if (::fstat(fd.get(), &status) != 0) return fail_errno(place(key), errno);
  if (S_ISREG(status.st_mode)) {
    members.push_back(TRY(read_value(key, [](std::span<const std::byte>) { return Result<>(); })));
    return {};
  }
  if (!S_ISDIR(status.st_mode))
    return fail(Errc::kInvalid, place(key) + " is neither a file nor a directory");
  const std::pair self(status.st_dev, status.st_ino);
  if (std::find(level.above.begin(), level.above.end(), self) != level.above.end())
    return fail(Errc::kInvalid,
                place(key) + " is a symbolic link that leads back up; it would never end");
  members.push_back({.key = key, .kind = kv::Kind::kDictionary});
  todo.push_back({key, level.above});
  todo.back().above.push_back(self);
  return {};
}

Result<std::vector<kv::CompiledMember>> CrunchTree::walk(std::optional<int64_t> modified_s) const {
  std::vector<kv::CompiledMember> members;
  std::vector<Level> todo;
  TRY_VOID(take("", {}, todo, members));
  while (!todo.empty()) {
    const Level level = std::move(todo.back());
    todo.pop_back();
    for (const std::string& name : TRY(names_in(level.key)))
      TRY_VOID(take(kv::child_key(level.key, name), level, todo, members));
  }
  for (kv::CompiledMember& member : members) member.modified_s = modified_s;
  return members;
}

}  // namespace splitring::tools
