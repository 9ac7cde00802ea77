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
  // `gap`: how far apart two writes may be and still be joined, where nothing matters between them.
  explicit FatWriteBehind(uint32_t gap) : gap_(gap) {}

  // `nothing_behind`: the rest of the last block belongs to nobody (a file ends here), and may
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

  uint32_t gap_;
  uint64_t offset_ = 0;
  std::vector<std::byte> held_;
  bool nothing_behind_ = false;
};

}  // namespace splitring
