// The two kinds of lane of a raw image. Only raw_image.cc includes this.
#pragma once

#include <memory>

#include "blkimage/raw_file.h"

namespace splitring {

// Plain system calls within poll(). `file` outlives the lane.
Result<std::unique_ptr<BlockQueue>> open_raw_plain_lane(RawFile& file, DeviceState& state,
                                                        const QueueOptions& options);

// An io_uring of its own. No lane and no error: this kernel, or its administrator, refuses
// io_uring. `file` outlives the lane.
Result<std::unique_ptr<BlockQueue>> open_raw_ring_lane(RawFile& file, DeviceState& state,
                                                       const QueueOptions& options);

}  // namespace splitring
