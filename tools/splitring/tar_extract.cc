#include "tools/splitring/tar_extract.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>

#include "blkimage/file_bytes.h"
#include "tools/splitring/tar_work.h"

namespace splitring::tools {
namespace {

class Extractor {
 public:
  Extractor(const TarWork& work, const TarPlace& place)
      : work_(work), place_(place), worker_(work) {}

  Result<TarTally> run() {
    work_.tar.for_each([&](const TarEntry& entry) {
      if (entry.is_hard_link && entry.kind == TarKind::kFile && is_wanted(entry, work_.paths))
        linked_.try_emplace(entry.offset);
    });
    TRY_VOID(worker_.run([this](const TarEntry& entry) { return take(entry); }));
    return TRY(finish());
  }

 private:
  Result<> take(const TarEntry& entry) {
    switch (entry.kind) {
      case TarKind::kDirectory:
        directories_.push_back(entry);
        return place_.make_directory(entry.path);
      // Last, so that nothing of this archive meets one on its way.
      case TarKind::kSymlink: symlinks_.push_back(entry); return {};
      case TarKind::kFile: return take_file(entry);
      case TarKind::kHardLink:
        return fail(Errc::kNotFound, printable_name(entry.path) + ": a link to " +
                                         printable_name(entry.link) +
                                         ", which is not in the archive");
      case TarKind::kSpecial: break;
    }
    return fail(Errc::kUnsupported,
                printable_name(entry.path) + ": devices and pipes are not extracted");
  }

  Result<> take_file(const TarEntry& entry) {
    const auto name = linked_.find(entry.offset);
    if (name != linked_.end() && !name->second.empty())
      return place_.make_hard_link(entry.path, name->second);
    const UniqueFd file = TRY(place_.make_file(entry.path));
    if (entry.sparse && ::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0)
      return fail_errno(printable_name(entry.path), errno);
    const auto written = worker_.read(entry, [&](uint64_t at, std::span<const std::byte> bytes) {
      return write_file_bytes(file.get(), at, bytes);
    });
    if (!written) return fail_within(printable_name(entry.path), written.error());
    if (name != linked_.end()) name->second = entry.path;
    return place_.set_metadata(file.get(), entry);
  }

  // Directories from the inside out: making what lies in one changes its time, and it may forbid
  // writing.
  Result<TarTally> finish() {
    for (const TarEntry& entry : symlinks_) {
      auto made = place_.make_symlink(entry.path, entry.link);
      if (made) made = place_.set_link_metadata(entry);
      if (!made) worker_.complain(made.error().what);
    }
    std::ranges::sort(directories_, std::ranges::greater(), &TarEntry::path);
    for (const TarEntry& entry : directories_) {
      const auto directory = place_.open_existing(entry.path);
      if (!directory) continue;  // that it could not be made has been said
      if (const auto set = place_.set_metadata(directory->get(), entry); !set)
        worker_.complain(set.error().what);
    }
    return worker_.tally();
  }

  const TarWork& work_;
  const TarPlace& place_;
  TarWorker worker_;
  std::vector<TarEntry> directories_;
  std::vector<TarEntry> symlinks_;
  std::map<uint64_t, std::string> linked_;  // bodies with several names, and the first one made
};

}  // namespace

Result<TarTally> extract_tar(const TarWork& work, const TarPlace& place) {
  return Extractor(work, place).run();
}

}  // namespace splitring::tools
