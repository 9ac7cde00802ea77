#include "tools/splitring/mount/open_tree.h"

#include <array>

#include "fs/tar/tar_header.h"
#include "tools/common/archive.h"
#include "tools/splitring/mount/tar_tree.h"

namespace splitring::tools {
namespace {

Result<OpenTree> open_disk(Disks& disks, const std::string& uri, bool read_only) {
  OpenTree opened;
  opened.disk = TRY(disks.open(uri, read_only));
  opened.lane = TRY(opened.disk->open_queue({}));
  return opened;
}

Result<TreeKind> find_kind(const OpenTree& opened) {
  std::vector<std::byte> begin(opened.disk->geometry().logical_block_bytes);
  TRY_VOID(opened.lane->read(Sectors{0}, begin));
  if (parse_tar_header(TarBlock(begin.data(), kTarBlockBytes))) return TreeKind::kTar;
  return fail(Errc::kInvalid, "no tar archive");
}

Result<> open_tar(OpenTree& opened, const std::string& uri, const MountOptions& options,
                  Complaints& complaints) {
  auto files = TRY(open_archive(*opened.lane, uri));
  for (const std::string& warning : files->warnings()) complaints.say(warning);
  const uint64_t bytes = opened.disk->geometry().capacity.bytes();
  opened.tree = std::make_unique<TarTree>(std::move(files), options, bytes, complaints);
  return {};
}

}  // namespace

Result<OpenTree> open_tree(Disks& disks, const std::string& uri, std::optional<TreeKind> kind,
                           const MountOptions& options, Complaints& complaints) {
  OpenTree opened = TRY(open_disk(disks, uri, true));
  if (!kind) {
    const auto found = find_kind(opened);
    if (!found) return fail_within(uri, found.error());
    kind = *found;
  }
  TRY_VOID(open_tar(opened, uri, options, complaints));
  return opened;
}

}  // namespace splitring::tools
