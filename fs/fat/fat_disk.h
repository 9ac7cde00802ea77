// What of a mounted volume differs between FAT12, FAT16, FAT32 (fat_plain_disk.h) and exFAT
// (fs/exfat/exfat_disk.h): where things lie, how a directory spells them, what the boot sector
// says.
//
// Not thread-safe: FatVolume's lock is held in every call.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_directory.h"
#include "fs/fat/fat_facts.h"
#include "fs/fat/fat_map.h"
#include "fs/fat/fat_tree_checker.h"
#include "fs/fat/fat_types.h"

namespace splitring {

// What a format can keep.
struct FatLimits {
  uint64_t file_bytes = 0;
  uint64_t directory_bytes = 0;
  bool keeps_valid_length = false;    // a file may end in zeroes that nobody wrote
  bool keeps_directory_size = false;  // in the directory's own entry, as of a file
  bool needs_no_chain = false;        // for clusters that follow one another
  bool keeps_time_zone = false;       // with every time
};

class FatDisk {
 public:
  virtual ~FatDisk() = default;
  FatDisk(const FatDisk&) = delete;
  FatDisk& operator=(const FatDisk&) = delete;

  [[nodiscard]] const FatClusters& clusters() const { return map().clusters(); }
  [[nodiscard]] virtual FatMap& map() = 0;
  [[nodiscard]] virtual const FatMap& map() const = 0;
  [[nodiscard]] virtual FatLimits limits() const = 0;
  // Type, id and sizes; the rest is the volume's.
  [[nodiscard]] virtual FatVolumeInfo info() const = 0;
  [[nodiscard]] virtual bool was_dirty() const = 0;
  [[nodiscard]] virtual FatFacts root() const = 0;
  // How long a directory is.
  [[nodiscard]] virtual uint64_t directory_bytes(const FatFacts& facts) const = 0;
  // In the clusters of a directory (none: the fixed root).
  [[nodiscard]] virtual std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) = 0;

  // Marks the volume as in use or as clean; the latter with what else is kept of a clean one.
  // Flushes.
  virtual Result<> write_state(BlockQueue& lane, bool dirty) = 0;
  // The label's second place, if there is one.
  virtual Result<> write_label(BlockQueue& /*lane*/, std::string_view /*label*/) { return {}; }
  // What puts an unclean volume in order, beside whoever uses it; it uses the disk's map.
  [[nodiscard]] virtual std::unique_ptr<FatTreeChecker> recovery() = 0;

 protected:
  FatDisk() = default;
};

// kInvalid: no volume of the family; kUnsupported: one that nobody knows.
Result<std::unique_ptr<FatDisk>> open_fat_disk(BlockQueue& lane);

}  // namespace splitring
