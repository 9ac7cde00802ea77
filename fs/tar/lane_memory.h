// Memory to read a disk into: lent by the lane's pool while that has some, else our own, at the
// price of a copy below. Move-only. Returned on the lane's thread, before the lane goes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

class LaneMemory {
 public:
  LaneMemory() = default;
  // kLimit: neither the pool nor the heap has `bytes`.
  static Result<LaneMemory> allocate(BlockQueue& lane, size_t bytes);

  // Page-aligned.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };

  IoBuffer lent_;
  std::unique_ptr<std::byte, Free> own_;
  std::span<std::byte> bytes_;
};

}  // namespace splitring
