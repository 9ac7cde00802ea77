#include "tools/splitring/tar_pack.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/parse.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "fs/tar/tar_index.h"

namespace splitring::tools {
namespace {

namespace stdfs = std::filesystem;

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr int64_t kBytesPerStatBlock = 512;

class Lister {
 public:
  explicit Lister(const PackOptions& options) : options_(options) {}

  Result<PackList> run() {
    if (options_.reproducible) TRY_VOID(read_source_date());
    for (const std::string& path : options_.paths) {
      const std::string name = TarIndex::normalize(path);
      for (std::string_view rest = name; !rest.empty();) {
        const size_t slash = rest.find('/');
        if (rest.substr(0, slash) == "..")
          return fail(Errc::kInvalid, path +
                                          ": a path with \"..\" has no place in an archive; "
                                          "start elsewhere with --directory");
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
      }
      TRY_VOID(add(path.starts_with('/') ? path : options_.directory + "/" + path, name));
    }
    return std::move(list_);
  }

 private:
  Result<> read_source_date() {
    const char* text = std::getenv("SOURCE_DATE_EPOCH");
    if (text == nullptr) return {};
    const auto seconds = parse_decimal(text, INT64_MAX);
    if (!seconds) return fail(Errc::kInvalid, "SOURCE_DATE_EPOCH: no number of seconds");
    source_date_ = static_cast<int64_t>(*seconds);
    return {};
  }

  Result<> add(const std::string& source, const std::string& name) {
    struct stat facts {};
    if (::lstat(source.c_str(), &facts) != 0) return fail_errno(source, errno);
    PackList::Item item{source, {}};
    item.member.path = name;
    if (!describe(facts, item)) {
      list_.left_out.push_back(source + ": neither file, directory nor link");
      return {};
    }
    // The root of an archive needs no header.
    if (!name.empty()) {
      list_.archive_bytes += TRY(encode_tar_headers(item.member)).size() +
                             round_up(item.member.stored_bytes(), kTarBlockBytes);
      list_.file_bytes += item.member.stored_bytes();
      list_.items.push_back(std::move(item));
    }
    return S_ISDIR(facts.st_mode) ? add_below(source, name) : Result<>();
  }

  Result<> add_below(const std::string& source, const std::string& name) {
    std::vector<std::string> names;
    std::error_code error;
    for (stdfs::directory_iterator at(source, error), end; !error && at != end; at.increment(error))
      names.push_back(at->path().filename().string());
    if (error) return fail_errno(source, error.value());
    std::ranges::sort(names);
    for (const std::string& below : names)
      TRY_VOID(add(source + "/" + below, name.empty() ? below : name + "/" + below));
    return {};
  }

  // False: not what an archive of ours holds.
  bool describe(const struct stat& facts, PackList::Item& item) {
    TarMember& member = item.member;
    member.mode = facts.st_mode & 07777;
    member.mtime_s = facts.st_mtim.tv_sec;
    if (S_ISDIR(facts.st_mode)) {
      member.kind = TarKind::kDirectory;
    } else if (S_ISLNK(facts.st_mode)) {
      member.kind = TarKind::kSymlink;
      std::error_code error;
      member.link = stdfs::read_symlink(item.source, error).string();
      if (error) return false;
    } else if (!S_ISREG(facts.st_mode)) {
      return false;
    } else if (!is_second_name(facts, member)) {
      member.size = static_cast<uint64_t>(facts.st_size);
      if (facts.st_blocks * kBytesPerStatBlock < facts.st_size) find_holes(item.source, member);
    }
    if (options_.reproducible)
      make_reproducible(member);
    else
      set_owner(facts, member);
    return true;
  }

  void make_reproducible(TarMember& member) const {
    member.mtime_s = source_date_;
    const bool executable = member.kind == TarKind::kDirectory || (member.mode & 0111) != 0;
    member.mode = member.kind == TarKind::kSymlink ? 0777 : executable ? 0755 : 0644;
  }

  void set_owner(const struct stat& facts, TarMember& member) {
    member.uid = facts.st_uid;
    member.gid = facts.st_gid;
    const auto user = users_.try_emplace(facts.st_uid);
    if (user.second) {
      if (const passwd* entry = ::getpwuid(facts.st_uid)) user.first->second = entry->pw_name;
    }
    const auto group = groups_.try_emplace(facts.st_gid);
    if (group.second) {
      if (const ::group* entry = ::getgrgid(facts.st_gid)) group.first->second = entry->gr_name;
    }
    member.user = user.first->second;
    member.group = group.first->second;
  }

  bool is_second_name(const struct stat& facts, TarMember& member) {
    if (facts.st_nlink < 2) return false;
    const auto [first, is_new] =
        first_names_.try_emplace({facts.st_dev, facts.st_ino}, member.path);
    if (is_new) return false;
    member.kind = TarKind::kHardLink;
    member.link = first->second;
    return true;
  }

  // What cannot be asked for holes has none.
  static void find_holes(const std::string& source, TarMember& member) {
    const UniqueFd file(::open(source.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    const auto size = static_cast<off_t>(member.size);
    std::vector<std::pair<uint64_t, uint64_t>> data;
    for (off_t at = 0; file && at < size && data.size() < kMaxTarExtents;) {
      const off_t begin = ::lseek(file.get(), at, SEEK_DATA);
      if (begin < 0 && errno != ENXIO) return;
      if (begin < 0 || begin >= size) break;  // the rest is a hole
      const off_t end = ::lseek(file.get(), begin, SEEK_HOLE);
      if (end < 0) return;
      at = std::min(end, size);
      data.emplace_back(begin, at - begin);
    }
    if (!file || data.size() == kMaxTarExtents) return;
    if (data.size() == 1 && data[0].second == member.size) return;
    member.sparse = true;
    member.data = std::move(data);
  }

  const PackOptions& options_;
  PackList list_;
  int64_t source_date_ = 0;
  std::map<uid_t, std::string> users_;
  std::map<gid_t, std::string> groups_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
};

// Puts `bytes` bytes of a file from `first` on; false: it has fewer, and zeroes took their place.
Result<bool> put_range(int fd, uint64_t first, uint64_t bytes, TarOutput& output,
                       std::vector<std::byte>& buffer,
                       const std::function<void(uint64_t)>& advance) {
  bool whole = true;
  while (bytes != 0) {
    const std::span<std::byte> part(buffer.data(), std::min<uint64_t>(bytes, buffer.size()));
    ssize_t got = whole ? ::pread(fd, part.data(), part.size(), static_cast<off_t>(first)) : 0;
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      whole = false;
      std::ranges::fill(part, std::byte{0});
      got = static_cast<ssize_t>(part.size());
    }
    TRY_VOID(output.put(part.first(static_cast<size_t>(got))));
    advance(static_cast<uint64_t>(got));
    first += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
  return whole;
}

Result<bool> put_body(const PackList::Item& item, TarOutput& output, std::vector<std::byte>& buffer,
                      const std::function<void(uint64_t)>& advance) {
  const TarMember& member = item.member;
  if (member.stored_bytes() == 0) return true;
  const UniqueFd file(::open(item.source.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!member.sparse) return put_range(file.get(), 0, member.size, output, buffer, advance);
  bool whole = true;
  for (const auto& [first, bytes] : member.data)
    whole &= TRY(put_range(file.get(), first, bytes, output, buffer, advance));
  return whole;
}

}  // namespace

Result<PackList> list_for_packing(const PackOptions& options) { return Lister(options).run(); }

Result<uint64_t> pack(const PackList& list, TarOutput& output,
                      const std::function<void(uint64_t)>& advance) {
  std::vector<std::byte> buffer(kReadBytes);
  uint64_t changed = 0;
  for (const PackList::Item& item : list.items) {
    TRY_VOID(output.put(TRY(encode_tar_headers(item.member))));
    if (!TRY(put_body(item, output, buffer, advance))) changed++;
    TRY_VOID(output.pad());
  }
  return changed;
}

}  // namespace splitring::tools
