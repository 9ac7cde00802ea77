// The sectors in front of the FATs, read and written: state, label, hints.
#pragma once

#include <optional>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_name.h"
#include "fs/fat/fat_table.h"

namespace splitring {

struct FatBoot {
  FatGeometry geometry;
  FatBootTail tail;
};

// Errors: those of parse_fat_boot_sector(), the disk's.
Result<FatBoot> read_fat_boot(BlockQueue& lane);

// Marks the volume in both places where marks are; writes what else of the FAT has changed.
// Flushes.
Result<> write_fat_state(BlockQueue& lane, const FatGeometry& geometry, FatTable& table,
                         bool dirty);
Result<> write_fat_label(BlockQueue& lane, const FatGeometry& geometry, const FatShortName& label);

// FSInfo, of volumes that have one. Nothing: it is none.
Result<std::optional<FatInfoSector>> read_fat_info(BlockQueue& lane, const FatGeometry& geometry);
Result<> write_fat_info(BlockQueue& lane, const FatGeometry& geometry, const FatTable& table);

}  // namespace splitring
