// What to say to whoever named a whole disk and meant a partition of it.
#pragma once

#include <string>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring::tools {

// The error of a disk that does not hold what was looked for, with the name of the disk, and if it
// has a table of partitions, what they are called.
tl::unexpected<Error> fail_on_disk(BlockQueue& lane, const std::string& uri, const Error& error);

}  // namespace splitring::tools
