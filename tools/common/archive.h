// The archive on a disk, opened the quick way where there is one: by the index saved beside its
// image, else by a scan of the image.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/tar_file_system.h"

namespace splitring::tools {

// The file that a disk's URI names, if it is one beside which an index can lie.
std::optional<std::string> image_file(const std::string& uri);

// `uri` is what `disk` was opened by. A saved index that is not of this image, or damaged, is as
// good as none.
Result<std::unique_ptr<TarFileSystem>> open_archive(BlockQueue& lane, const std::string& uri,
                                                    const TarLimits& limits = {});

// Scans the image and saves what it finds, of a compressed one also where decompression can begin;
// returns the paths. `disk` was opened by `uri`. Errors: kConflict if the image changes meanwhile.
Result<std::vector<std::string>> save_archive_index(BlockDevice& disk, const std::string& uri);

}  // namespace splitring::tools
