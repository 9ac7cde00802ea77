// format_fat() of FAT12, FAT16 and FAT32, once it has looked at what is said of sectors and
// alignment.
#pragma once

#include "fs/fat/fat_format.h"

namespace splitring {

Result<> format_plain_fat(BlockQueue& lane, const FatFormat& format);

}  // namespace splitring
