#include "tools/common/archive.h"

#include "blkimage/packed_image.h"
#include "blkimage/packed_index.h"
#include "fs/tar/saved_index.h"

namespace splitring::tools {
namespace {

Result<std::unique_ptr<TarFileSystem>> open_by_index(BlockQueue& lane, const std::string& image) {
  const ImageIdentity identity = TRY(identify_image(image));
  auto tar = TRY(TarFileSystem::open_saved(lane, saved_index_path(image), identity));
  TRY_VOID(tar->check_index());
  return tar;
}

}  // namespace

std::optional<std::string> image_file(const std::string& uri) {
  const auto disk = disk_below_packing(uri);
  if (!disk || disk->scheme != "raw" || disk->partition != 0) return std::nullopt;
  if (parse_disk_uri(uri)->partition != 0) return std::nullopt;
  return disk->target;
}

Result<std::unique_ptr<TarFileSystem>> open_archive(BlockQueue& lane, const std::string& uri,
                                                    const TarLimits& limits) {
  const auto image = image_file(uri);
  if (image && limits.stop_at_end) {
    if (auto saved = open_by_index(lane, *image)) return saved;
  }
  auto scanned = TarFileSystem::open(lane, limits);
  if (!scanned) return fail_within(uri, std::move(scanned).error());
  return scanned;
}

Result<std::vector<std::string>> save_archive_index(BlockDevice& disk, const std::string& uri) {
  const auto image = image_file(uri);
  if (!image) return fail(Errc::kUnsupported, uri + ": no file, so no index can lie beside it");
  std::vector<std::string> saved;
  if (const auto* const packed = dynamic_cast<const PackedImage*>(&disk);
      packed != nullptr && packed->needs_map() && packed->below() == nullptr) {
    TRY_VOID(packed->save_map());
    saved.push_back(saved_packed_map_path(*image));
  }
  const ImageIdentity identity = TRY(identify_settled_image(*image));
  const auto lane = TRY(disk.open_queue({}));
  const auto scanned = TRY(TarFileSystem::open(*lane));
  if (TRY(identify_image(*image)) != identity)
    return fail(Errc::kConflict, uri + ": the image changed while it was read: do it again");
  saved.push_back(saved_index_path(*image));
  TRY_VOID(scanned->save(saved.back(), identity));
  return saved;
}

}  // namespace splitring::tools
