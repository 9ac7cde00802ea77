// A lane of a compressed image: a decompressor, and the pieces of the content that were used last.
//
// Requests are served one after the other, in order: the decompressor is at one place at a time.
// One poll() decompresses kBytesPerPoll at most, and what is not there yet of the disk below is
// waited for by nobody.
#pragma once

#include <memory>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "blkimage/packed_file.h"

namespace splitring {

// `below`: a lane of the disk that holds the bytes; null: they lie in `file`, which outlives the
// lane. `state` is that of the image.
Result<std::unique_ptr<BlockQueue>> open_packed_lane(DeviceState& state,
                                                     const QueueOptions& options,
                                                     const std::shared_ptr<const PackedMap>& map,
                                                     std::unique_ptr<BlockQueue> below, int file);

}  // namespace splitring
