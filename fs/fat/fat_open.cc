// Which format of the family a disk holds.
#include "fs/fat/fat_plain_disk.h"

namespace splitring {

Result<std::unique_ptr<FatDisk>> open_fat_disk(BlockQueue& lane) {
  return FatPlainDisk::open(lane);
}

}  // namespace splitring
