#include "tools/splitring/mount/open_tree.h"

#include <vector>

#include "fs/tar/tar_header.h"
#include "tools/common/archive.h"
#include "tools/common/partition_hint.h"
#include "tools/splitring/mount/fat_tree.h"
#include "tools/splitring/mount/tar_tree.h"

namespace splitring::tools {
namespace {

Result<OpenTree> open_disk(Disks& disks, const std::string& uri, bool read_only) {
  OpenTree opened;
  opened.disk = TRY(disks.open_when_free(uri, read_only));
  opened.lane = TRY(opened.disk->open_queue({}));
  return opened;
}

// Of an archive its first header is sound. What is neither is for the volume to explain.
Result<TreeKind> find_kind(const OpenTree& opened) {
  std::vector<std::byte> begin(opened.disk->geometry().logical_block_bytes);
  TRY_VOID(opened.lane->read(Sectors{0}, begin));
  return parse_tar_header(TarBlock(begin.data(), kTarBlockBytes)) ? TreeKind::kTar : TreeKind::kFat;
}

Result<OpenTree> open_tar(OpenTree opened, const std::string& uri, const MountOptions& options,
                          Complaints& complaints) {
  auto files = TRY(open_archive(*opened.lane, uri));
  for (const std::string& warning : files->warnings()) complaints.say(warning);
  const uint64_t bytes = opened.disk->geometry().capacity.bytes();
  opened.tree = std::make_unique<TarTree>(std::move(files), options, bytes, complaints);
  return opened;
}

Result<OpenTree> open_fat(OpenTree opened, const std::string& uri, bool is_certain,
                          const MountOptions& options, Complaints& complaints) {
  auto volume = FatVolume::open(*opened.lane, {.read_only = options.read_only,
                                               .utc = options.utc,
                                               .discard = options.discard,
                                               .recover_later = true});
  if (!volume) {
    Error error = std::move(volume).error();
    if (!is_certain) error.what = "no tar archive: " + error.what;
    return fail_on_disk(*opened.lane, uri, error);
  }
  opened.tree = std::make_unique<FatTree>(std::move(*volume), options, complaints);
  return opened;
}

Result<OpenTree> open_as(OpenTree opened, const std::string& uri, TreeKind kind, bool is_certain,
                         const MountOptions& options, Complaints& complaints) {
  if (kind == TreeKind::kTar) return open_tar(std::move(opened), uri, options, complaints);
  return open_fat(std::move(opened), uri, is_certain, options, complaints);
}

}  // namespace

Result<OpenTree> open_tree(Disks& disks, const std::string& uri, std::optional<TreeKind> kind,
                           const MountOptions& options, Complaints& complaints) {
  const bool is_certain = kind.has_value();
  if (!is_certain) {
    // Only a disk with a volume is opened for writing, and that once nobody reads it any more.
    OpenTree opened = TRY(open_disk(disks, uri, true));
    kind = TRY(find_kind(opened));
    if (kind == TreeKind::kTar || options.read_only)
      return open_as(std::move(opened), uri, *kind, is_certain, options, complaints);
  }
  const bool read_only = *kind == TreeKind::kTar || options.read_only;
  return open_as(TRY(open_disk(disks, uri, read_only)), uri, *kind, is_certain, options,
                 complaints);
}

}  // namespace splitring::tools
