// The content of a compressed file as a read-only disk, padded with zeroes to whole sectors. Each
// lane has a decompressor and a cache of its own; reading onwards goes on where the last read
// stopped. What is found damaged is an I/O error of the reads that meet it.
//
//   zst:PATH, gz:PATH      that format
//   archive:PATH           the format that the file's first bytes show, or none
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "blkimage/disk_uri.h"
#include "fs/tar/packed_file.h"

namespace splitring {

class PackedImage final : public BlockDevice {
 public:
  // No `format`: by magic. Errors: see map_packed_file().
  static Result<std::unique_ptr<PackedImage>> open(const std::string& path,
                                                   std::optional<PackedFormat> format = {},
                                                   const PackedLimits& limits = {});

  [[nodiscard]] std::string name() const override;
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;
  [[nodiscard]] const PackedMap& map() const { return *map_; }

 private:
  PackedImage(const Geometry& geometry, std::string path, std::shared_ptr<const PackedMap> map)
      : BlockDevice(geometry), path_(std::move(path)), map_(std::move(map)) {}

  const std::string path_;
  const std::shared_ptr<const PackedMap> map_;
};

// Adds the schemes above.
void add_packed_schemes(DiskSchemes& schemes);

}  // namespace splitring
