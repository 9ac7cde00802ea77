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
  return format.type == FatType::kExfat ? format_exfat(lane, format)
                                        : format_plain_fat(lane, format);
}

}  // namespace splitring
