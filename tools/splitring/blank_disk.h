// Whether a disk looks as if nothing were on it: what a command asks before it makes something new.
#pragma once

#include "blkimage/block_device.h"

namespace splitring::tools {

// Its first block, of up to 4 KiB, all zeroes, or it has none.
Result<bool> is_blank(BlockQueue& lane);

}  // namespace splitring::tools
