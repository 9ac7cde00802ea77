// check_fat() of exFAT volumes (fs/fat/fat_check.h): the same words for the same things.
//
// Remains are here: clusters that the bitmap has and nobody owns or that lie behind a file's end,
// slots of a set without its first, a rename half done, a boot region that is behind. A set whose
// sums are wrong and all else is right gets new ones; one that is broken goes.
#pragma once

#include "fs/fat/fat_check.h"

namespace splitring {

Result<FatReport> check_exfat(BlockQueue& lane, FatRepair repair);

}  // namespace splitring
