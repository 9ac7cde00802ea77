#include "backend/image_policy.h"

#include <algorithm>
#include <string>

#include "blkimage/disk_uri.h"

namespace splitring::backend {
namespace {

bool lies_below(const std::filesystem::path& path, const std::filesystem::path& root) {
  const auto [root_end, ignored] =
      std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return root_end == root.end();
}

}  // namespace

Result<> check_image_policy(std::string_view uri, const std::vector<std::filesystem::path>& roots) {
  if (roots.empty()) return {};
  const DiskUri disk = TRY(parse_disk_uri(uri));
  if (disk.scheme == "mem" || disk.scheme == "vbd") return {};
  const std::string& file = disk.target;
  std::error_code error;
  const auto real = std::filesystem::canonical(file, error);
  if (error) return fail(Errc::kNotFound, file + ": " + error.message());
  for (const auto& root : roots) {
    const auto real_root = std::filesystem::canonical(root, error);
    if (!error && lies_below(real, real_root)) return {};
  }
  return fail(
      Errc::kPermission,
      file + " is not below a folder that this backend may open; add one with --allow-root");
}

}  // namespace splitring::backend
