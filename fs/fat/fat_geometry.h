// Where things lie on a volume, out of its boot sector, checked.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "fs/fat/fat_clusters.h"
#include "fs/fat/fat_layout.h"
#include "fs/fat/fat_types.h"

namespace splitring {

// Offsets and lengths in bytes from the start of the volume. Everything lies within total_bytes,
// and that within the disk.
struct FatGeometry : FatClusters {
  FatType type = FatType::kFat16;
  uint32_t sector_bytes = 512;
  uint32_t fat_count = 1;
  uint32_t active_fat = 0;  // the one to read
  bool mirrored = true;     // the others are kept equal to it
  uint64_t fat_offset = 0;
  uint64_t fat_bytes = 0;       // of one
  uint64_t fat_used_bytes = 0;  // of one, in whole sectors, with the entries of all clusters
  uint64_t root_offset = 0;     // of FAT12 and FAT16
  uint64_t root_bytes = 0;
  uint32_t root_cluster = 0;  // of FAT32; else 0
  uint64_t total_bytes = 0;
  uint64_t info_offset = 0;    // of the FSInfo sector; 0: none
  uint64_t backup_offset = 0;  // of the other boot sector; 0: none
  uint8_t media = 0xf8;

  [[nodiscard]] size_t boot_tail() const {
    return type == FatType::kFat32 ? kFatBootTail32 : kFatBootTail16;
  }
};

// The type by the number of clusters and by nothing else (p. 14).
[[nodiscard]] constexpr FatType fat_type_of(uint64_t clusters) {
  if (clusters < 4085) return FatType::kFat12;
  return clusters < 65525 ? FatType::kFat16 : FatType::kFat32;
}

// kInvalid: that is no FAT volume, or none that can be read; kUnsupported: exFAT, or a version that
// nobody knows.
Result<FatGeometry> parse_fat_boot_sector(const FatBootSector& boot, uint64_t disk_bytes);

}  // namespace splitring
