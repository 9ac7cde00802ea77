// Makes an empty FAT or exFAT volume on a disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_types.h"

namespace splitring {

// FAT of 160 KiB to 2 TiB; exFAT, if asked for, of 1 MiB or more. What is not said is chosen by the
// size, as Windows and mkfs.fat do: FAT12 on floppies and below 4 MiB, FAT16 below 512 MiB, FAT32
// above; the geometry of a floppy where the size is that of one.
struct FatFormat {
  std::optional<FatType> type = {};
  std::optional<uint32_t> cluster_bytes = {};  // a power of two, a sector to 64 KiB (exFAT: 32 MiB)
  std::string label = {};                      // at most 11 characters
  std::optional<uint32_t> id = {};             // random if not given
  uint32_t sector_bytes = 0;                   // 512 to 4096; 0: the disk's logical block
  uint64_t align_bytes = 0;  // the data area starts at a multiple; 0: a cluster's, at most 1 MiB
  uint64_t partition_offset = 0;  // in sectors of `sector_bytes`, for the field "hidden sectors"
  uint32_t fat_count = 2;
  uint32_t root_entries = 0;  // FAT12 and FAT16; 0: as usual
  bool utc = false;           // of the label's time
};

// kInvalid: the size is out of range, or what is asked for does not go together (the message says
// what would). kPermission: a read-only disk. What was there is gone; a power cut in between leaves
// no volume at all.
Result<> format_fat(BlockQueue& lane, const FatFormat& format = {});

}  // namespace splitring
