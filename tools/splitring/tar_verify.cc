#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "blkimage/file_bytes.h"
#include "tools/splitring/tar_extract.h"
#include "tools/splitring/tar_work.h"

namespace splitring::tools {
namespace {

constexpr mode_t kComparedMode = 0777;

class Verifier {
 public:
  Verifier(const TarWork& work, const TarPlace* place) : worker_(work), place_(place) {}

  Result<TarTally> run() {
    return worker_.run([this](const TarEntry& entry) { return take(entry); });
  }

 private:
  static tl::unexpected<Error> differs(const TarEntry& entry, const std::string& what) {
    return fail(Errc::kConflict, printable_name(entry.path) + ": " + what);
  }

  Result<> take(const TarEntry& entry) {
    if (place_ == nullptr) {
      if (entry.kind != TarKind::kFile) return {};
      return worker_.read(entry, [](uint64_t, std::span<const std::byte>) { return Result<>(); });
    }
    if (entry.kind == TarKind::kSymlink) {
      if (TRY(place_->read_symlink(entry.path)) != entry.link)
        return differs(entry, "the link leads elsewhere");
      return {};
    }
    if (entry.kind != TarKind::kFile && entry.kind != TarKind::kDirectory) return {};
    const UniqueFd there = TRY(place_->open_existing(entry.path));
    struct stat facts {};
    if (::fstat(there.get(), &facts) != 0) return fail_errno(std::string(entry.path), errno);
    if (S_ISDIR(facts.st_mode) != (entry.kind == TarKind::kDirectory))
      return differs(entry, "of another kind");
    if ((facts.st_mode & kComparedMode) != (entry.mode & kComparedMode))
      return differs(entry, "another mode");
    if (facts.st_mtim.tv_sec != entry.mtime_s) return differs(entry, "another time");
    return entry.kind == TarKind::kFile ? compare_bytes(entry, there.get(), facts) : Result<>();
  }

  Result<> compare_bytes(const TarEntry& entry, int fd, const struct stat& facts) {
    if (static_cast<uint64_t>(facts.st_size) != entry.size) return differs(entry, "another size");
    uint64_t end = 0;  // of what has been compared
    TRY_VOID(worker_.read(entry, [&](uint64_t at, std::span<const std::byte> bytes) -> Result<> {
      TRY_VOID(compare_hole(entry, fd, end, at));
      there_.resize(bytes.size());
      TRY_VOID(read_file_bytes(fd, at, there_));
      if (!std::ranges::equal(there_, bytes)) return differs(entry, "other bytes");
      end = at + bytes.size();
      return {};
    }));
    return compare_hole(entry, fd, end, entry.size);
  }

  // What the archive has as a hole must read as zeroes.
  Result<> compare_hole(const TarEntry& entry, int fd, uint64_t at, uint64_t end) {
    while (at < end) {
      there_.resize(std::min<uint64_t>(end - at, kTarReadBytes));
      TRY_VOID(read_file_bytes(fd, at, there_));
      if (!std::ranges::all_of(there_, [](std::byte b) { return b == std::byte{0}; }))
        return differs(entry, "other bytes");
      at += there_.size();
    }
    return {};
  }

  TarWorker worker_;
  const TarPlace* place_;
  std::vector<std::byte> there_;
};

}  // namespace

Result<TarTally> verify_tar(const TarWork& work, const TarPlace* place) {
  return Verifier(work, place).run();
}

}  // namespace splitring::tools
