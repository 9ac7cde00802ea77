// format_fat() of exFAT volumes (fs/fat/fat_format.h), once it has looked at what is said of
// sectors and alignment.
#pragma once

#include "fs/fat/fat_format.h"

namespace splitring {

Result<> format_exfat(BlockQueue& lane, const FatFormat& format);

}  // namespace splitring
