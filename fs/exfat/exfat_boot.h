// The boot regions of an exFAT volume: read, checked, written.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/exfat/exfat_layout.h"
#include "fs/fat/fat_clusters.h"

namespace splitring {

// Offsets in bytes from the start of the volume; all of it lies within total_bytes, and that within
// the disk.
struct ExfatGeometry : FatClusters {
  uint32_t sector_bytes = 512;
  uint64_t fat_offset = 0;
  uint64_t total_bytes = 0;
  uint32_t root_cluster = 0;
  uint32_t serial = 0;
};

struct ExfatBoot {
  ExfatGeometry geometry;
  ExfatBootSector sector;     // of the region that is sound
  bool main_is_sound = true;  // else the second region was read
  bool copies_agree = true;
};

// Whether the disk says that it is one, in either region.
Result<bool> is_exfat(BlockQueue& lane);
// kInvalid: no such volume, or both regions are damaged; kUnsupported: another version, TexFAT.
Result<ExfatBoot> read_exfat_boot(BlockQueue& lane);
// Exactly what a boot sector says, checked. Its checksum is not.
Result<ExfatGeometry> parse_exfat_boot_sector(const ExfatBootSector& boot, uint64_t disk_bytes);

// Writes both regions, the second first, flushing between: one is sound at any moment.
Result<> write_exfat_boot(BlockQueue& lane, const ExfatBootSector& boot);
// In the first region alone; flushes.
Result<> write_exfat_state(BlockQueue& lane, bool dirty, uint8_t percent_in_use);

}  // namespace splitring
