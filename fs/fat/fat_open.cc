// Which format of the family a disk holds, or is to hold.
#include "fs/exfat/exfat_checker.h"
#include "fs/exfat/exfat_disk.h"
#include "fs/exfat/exfat_format.h"
#include "fs/fat/fat_checker.h"
#include "fs/fat/fat_format.h"
#include "fs/fat/fat_plain_disk.h"
#include "fs/fat/fat_plain_format.h"

namespace splitring {

Result<std::unique_ptr<FatDisk>> open_fat_disk(BlockQueue& lane) {
  return TRY(is_exfat(lane)) ? ExfatDisk::open(lane) : FatPlainDisk::open(lane);
}

Result<FatReport> check_fat(BlockQueue& lane, FatRepair repair) {
  return TRY(is_exfat(lane)) ? check_exfat(lane, repair) : check_plain_fat(lane, repair);
}

Result<> format_fat(BlockQueue& lane, const FatFormat& format) {
  constexpr uint64_t kMostAlignment = 16U << 20;
  const Geometry disk = lane.geometry();
  FatFormat whole = format;
  if (whole.sector_bytes == 0) whole.sector_bytes = disk.logical_block_bytes;
  if (disk.read_only) return fail(Errc::kPermission, "the disk is read-only");
  if (!is_power_of_two(whole.sector_bytes) || whole.sector_bytes < 512 ||
      whole.sector_bytes > 4096 || whole.sector_bytes < disk.logical_block_bytes)
    return fail(Errc::kInvalid,
                "sectors have 512, 1024, 2048 or 4096 bytes, and no fewer than the disk's blocks");
  if (whole.align_bytes != 0 &&
      (!is_power_of_two(whole.align_bytes) || whole.align_bytes > kMostAlignment))
    return fail(Errc::kInvalid, "the alignment is a power of two, and no more than 16 MiB");
  return whole.type == FatType::kExfat ? format_exfat(lane, whole) : format_plain_fat(lane, whole);
}

}  // namespace splitring
