// As many lanes as are asked for, of a disk that has few: those that it has, and when it has no
// more, any number that share its last one.
//
// A backend offers as many rings as it likes, often one; a store or a service has threads. Who gets
// a lane of its own pays nothing. Those that share one take its lock to submit, to poll and before
// they sleep, and whoever polls hands the others what is theirs and wakes them.
//
// Only for disks whose lanes may be used by one thread at a time, whichever it is: the frontend's
// may, an io_uring belongs to its thread (and such disks have lanes without end).
#pragma once

#include <memory>

#include "blkimage/block_device.h"

namespace splitring {

// Errors: those of opening the lane that is shared.
Result<std::unique_ptr<BlockDevice>> make_lanes_shared(std::unique_ptr<BlockDevice> below);

}  // namespace splitring
