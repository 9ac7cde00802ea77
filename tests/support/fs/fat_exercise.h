// Everything that may be done to a volume, sound or not, for fuzzers: it ends, and stays inside.
#pragma once

#include "blkimage/block_device.h"

namespace splitring::test {

// Mounts, walks, reads, changes, checks and repairs what the lane's disk holds. Ends the process
// where something cannot be.
void exercise_fat(BlockQueue& lane);

}  // namespace splitring::test
