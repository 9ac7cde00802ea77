// format_fat() of exFAT volumes (fs/fat/fat_format.h).
#pragma once

#include "fs/fat/fat_format.h"

namespace splitring {

Result<> format_exfat(BlockQueue& lane, const FatFormat& format);

}  // namespace splitring
