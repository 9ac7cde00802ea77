// Copies a disk to another one with many requests in flight: the engine of `splitring cp`.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring::tools {

struct CopyReport {
  uint64_t bytes = 0;       // copied, all kinds
  uint64_t zero_bytes = 0;  // of those: told to the target as zeroes instead of written
};

// Called now and then on the caller's thread.
using CopyProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// The whole of `from` to the beginning of `to`, then a flush. A target that is larger keeps the
// rest. Errors: kNoSpace: the target is smaller; kInvalid: block sizes do not fit; a request failed
// (the target is then a mixture).
Result<CopyReport> copy_disk(BlockDevice& from, BlockDevice& to, const CopyProgress& progress);

}  // namespace splitring::tools
