// Bytes of a disk at any offset and of any length: whole blocks are read into the caller's memory,
// only the edges through a bounce.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

struct DiskRange {
  uint64_t offset = 0;
  std::span<std::byte> out;
};

// Blocks until done, with many requests in flight. The caller's thread owns the lane; other
// requests of it complete meanwhile. Errors: the disk's; kInvalid beyond its end.
Result<> read_disk_ranges(BlockQueue& lane, std::span<const DiskRange> ranges);
Result<> read_disk_bytes(BlockQueue& lane, uint64_t offset, std::span<std::byte> out);

}  // namespace splitring
