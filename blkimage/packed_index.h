// Where decompression can begin, saved beside the compressed file: opening it again then costs
// neither a pass over gzip nor a walk through the frames of zstd.
//
//   header | points | windows
//
// Believed only if the file is ours and of this image (blkimage/saved_file.h), its checksum is
// right, it is exactly as long as its counts say, and what it says could be: then it is what was
// found. Its integers are this machine's; another machine's magic number does not match.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "blkimage/packed_file.h"
#include "blkimage/saved_file.h"

namespace splitring {

// "site.tar.gz" -> "site.tar.gz.points"
[[nodiscard]] std::string saved_packed_map_path(const std::string& image_path);

// Replaces the file at `path` as a whole, or leaves it as it was.
Result<> save_packed_map(const std::string& path, const ImageIdentity& image, const PackedMap& map);
// kNotFound: none there. kPermission: not ours. kConflict: of another image, or of an earlier state
// of it. kInvalid: damaged, or of another version. kLimit: see check_runs().
Result<std::shared_ptr<const PackedMap>> open_saved_packed_map(const std::string& path,
                                                               const ImageIdentity& image,
                                                               const PackedLimits& limits = {});

}  // namespace splitring
