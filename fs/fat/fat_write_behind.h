// Bytes of files on their way to the disk: small writes that follow one another are joined, whether
// they belong to one file or to small files in neighbouring clusters.
//
// Not thread-safe. What it holds is on the disk after flush() only; reads go through it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

class FatWriteBehind {
 public:
  // Clusters begin at `begin`: what lies behind a file's end in its last one belongs to nobody.
  FatWriteBehind(uint64_t begin, uint32_t cluster_bytes)
      : begin_(begin), cluster_bytes_(cluster_bytes) {}

  // `nothing_behind`: the rest of the last cluster belongs to nobody (a file ends here), and may
  // become zeroes.
  Result<> write(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes,
                 bool nothing_behind);
  // Bytes that are held are on the disk then, and out of the way of a read of that range.
  Result<> settle(BlockQueue& lane, uint64_t offset, uint64_t bytes);
  Result<> flush(BlockQueue& lane);
  [[nodiscard]] bool empty() const { return held_.empty(); }

 private:
  [[nodiscard]] uint64_t end() const { return offset_ + held_.size(); }
  bool join(uint64_t offset, std::span<const std::byte> bytes, bool nothing_behind);

  // Where the cluster ends that a byte lies in; itself, if one begins there.
  [[nodiscard]] uint64_t cluster_end(uint64_t offset) const;

  uint64_t begin_;
  uint32_t cluster_bytes_;
  uint64_t offset_ = 0;
  std::vector<std::byte> held_;
  bool nothing_behind_ = false;
};

}  // namespace splitring
