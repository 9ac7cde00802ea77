// Partitions of a disk, by the table that it begins with: MBR with logical partitions, or GPT.
//
// Sources: UEFI specification 2.10, chapter 5 (GPT, protective MBR); the MBR is IBM's of 1983, its
// chain of extended partitions Microsoft's of DOS 3.3.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

inline constexpr uint32_t kMostPartitions = 128;  // as many as a GPT has by default

struct Partition {
  uint32_t number = 0;  // as Linux counts: 1 to 4 primary, from 5 logical; GPT by its entry
  Sectors first;
  Sectors length;
};

// In the order of their numbers; at most 128. kInvalid: no table that is known, or a damaged one.
// A partition that does not lie on the disk is left out. Blocks until read.
Result<std::vector<Partition>> read_partitions(BlockQueue& lane);

// The disk that a partition is. kNotFound says which there are.
Result<std::unique_ptr<BlockDevice>> open_partition(std::unique_ptr<BlockDevice> disk,
                                                    uint32_t number);

}  // namespace splitring
