#include "tools/common/archive.h"

#include "blkimage/disk_uri.h"
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
  const auto parsed = parse_disk_uri(uri);
  if (!parsed) return std::nullopt;
  for (const char* scheme : {"raw", "zst", "gz", "archive"}) {
    if (parsed->scheme == scheme) return parsed->target;
  }
  return std::nullopt;
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

Result<std::string> save_archive_index(BlockQueue& lane, const std::string& uri) {
  const auto image = image_file(uri);
  if (!image) return fail(Errc::kUnsupported, uri + ": no file, so no index can lie beside it");
  const ImageIdentity identity = TRY(identify_settled_image(*image));
  const auto scanned = TRY(TarFileSystem::open(lane));
  if (TRY(identify_image(*image)) != identity)
    return fail(Errc::kConflict, uri + ": the image changed while it was read: do it again");
  const std::string path = saved_index_path(*image);
  TRY_VOID(scanned->save(path, identity));
  return path;
}

}  // namespace splitring::tools
