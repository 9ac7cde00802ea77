// A device that starts no more requests, and moves no more bytes, per second than allowed. All its
// lanes share one allowance. A flush costs one request and no bytes.
#pragma once

#include <memory>

#include "blkimage/block_device.h"

namespace splitring {

struct ThrottleLimits {
  uint64_t requests_per_second = 0;  // 0: no limit
  uint64_t bytes_per_second = 0;     // 0: no limit
  // What may pass at once after a rest; 0: a tenth of a second's worth.
  uint64_t burst_requests = 0;
  uint64_t burst_bytes = 0;
};

std::unique_ptr<BlockDevice> make_throttled(std::unique_ptr<BlockDevice> below,
                                            const ThrottleLimits& limits);

}  // namespace splitring
