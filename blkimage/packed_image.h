// What compressed bytes hold, as a read-only disk, padded with zeroes to whole sectors. Each lane
// has a decompressor and a cache of its own; reading onwards goes on where the last read stopped.
// What is found damaged is an I/O error of the reads that meet it.
//
//   zst:PATH, gz:PATH      that format, in a file of any length
//   archive:PATH           the format that the first bytes show, or none
//   archive:vbd:xvda       the same of any disk, by its URI; a path that looks like one begins "./"
//
// A lane does a bounded share of work in each poll() and never waits for the disk below, however
// far from a restart point a read lies: its requests are served one after the other.
//
// What opening had to find out can be saved beside a file (blkimage/packed_index.h) and is used
// while the file is as it was then.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "blkimage/block_device.h"
#include "blkimage/disk_uri.h"
#include "blkimage/packed_file.h"
#include "blkimage/saved_file.h"

namespace splitring {

class PackedImage final : public BlockDevice {
 public:
  // No `format`: by magic. Errors: see map_packed_file().
  static Result<std::unique_ptr<PackedImage>> open(const std::string& path,
                                                   std::optional<PackedFormat> format = {},
                                                   const PackedLimits& limits = {});
  static Result<std::unique_ptr<PackedImage>> open(std::unique_ptr<BlockDevice> below,
                                                   std::optional<PackedFormat> format = {},
                                                   const PackedLimits& limits = {});

  [[nodiscard]] std::string name() const override;
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;
  [[nodiscard]] const PackedMap& map() const { return *map_; }
  // The disk that it stands on; null: a file.
  [[nodiscard]] const BlockDevice* below() const { return below_.get(); }
  // Whether there is something to save.
  [[nodiscard]] bool needs_map() const { return map_->format != PackedFormat::kStored; }
  // Saves the map beside the file. kUnsupported: it stands on a disk, or needs no map. kConflict:
  // the file is not as it was when it was opened.
  Result<> save_map() const;

 private:
  PackedImage(const Geometry& geometry, std::string path, std::shared_ptr<const PackedMap> map)
      : BlockDevice(geometry), path_(std::move(path)), map_(std::move(map)) {}

  const std::string path_;  // or the URI of the disk below
  UniqueFd file_;           // or, if there is none:
  std::unique_ptr<BlockDevice> below_;
  std::optional<ImageIdentity> identity_;  // of the file before it was mapped
  const std::shared_ptr<const PackedMap> map_;
};

// Adds the schemes above, upon files and all schemes that are there already.
void add_packed_schemes(DiskSchemes& schemes);

// The disk whose bytes are compressed, if the scheme is one of the above (a file as raw:), else the
// disk itself: what comes and goes, and has a path. Errors: see parse_disk_uri().
Result<DiskUri> disk_below_packing(std::string_view uri);

}  // namespace splitring
