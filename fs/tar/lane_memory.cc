#include "fs/tar/lane_memory.h"

#include <cstdlib>

namespace splitring {

void LaneMemory::Free::operator()(std::byte* memory) const noexcept { std::free(memory); }

Result<LaneMemory> LaneMemory::allocate(BlockQueue& lane, size_t bytes) {
  LaneMemory memory;
  if (auto lent = lane.allocate(bytes)) {
    memory.lent_ = std::move(*lent);
    memory.bytes_ = memory.lent_.bytes();
    return memory;
  }
  const size_t rounded = round_up(bytes, kPageSize);
  memory.own_.reset(static_cast<std::byte*>(std::aligned_alloc(kPageSize, rounded)));
  if (memory.own_ == nullptr) return fail(Errc::kLimit, "out of memory for an I/O buffer");
  memory.bytes_ = std::span(memory.own_.get(), bytes);
  return memory;
}

}  // namespace splitring
