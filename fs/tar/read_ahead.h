// A disk read forwards, block by block, with several large requests in flight ahead of the reader.
// What the reader skips is not read: after a long jump beyond what was requested the window starts
// small again and grows while the reading is sequential.
//
// Invariants: requested slots cover [front's start, next_read_) without a hole, in order; offsets
// never go back. One owner thread, the lane's. The lane outlives it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/lane_memory.h"
#include "fs/tar/tar_header.h"

namespace splitring {

class ReadAhead {
 public:
  explicit ReadAhead(BlockQueue& lane);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The block at `offset`, valid until the next call. Precondition: `offset` is a multiple of 512,
  // not below an earlier one, the block lies within end(), and no earlier call failed.
  Result<TarBlock> block(uint64_t offset) {
    const Slot& front = slots_[first_];
    if (count_ == 0 || front.flying || offset - front.start >= front.length)
      TRY_VOID(move_to(offset));
    return TarBlock(slots_[first_].memory.bytes().data() + (offset - slots_[first_].start),
                    kTarBlockBytes);
  }

  // Bytes of the disk that can be read.
  [[nodiscard]] uint64_t end() const { return end_; }

 private:
  static constexpr size_t kSlots = 4;
  static constexpr size_t kSlotBytes = size_t{256} << 10;
  static constexpr uint64_t kLeastAhead = uint64_t{16} << 10;
  static constexpr uint64_t kMostAhead = kSlots * kSlotBytes;
  // A skip of at most this much beyond the window counts as sequential: reading through it costs
  // less than the round trips of a small window.
  static constexpr uint64_t kSmallSkip = uint64_t{64} << 10;

  struct Slot : BlockRequest {
    LaneMemory memory;
    iovec buffer{};
    uint64_t start = 0;
    uint64_t length = 0;
    bool flying = false;
  };

  // Makes the front slot one that holds `offset` and has arrived.
  Result<> move_to(uint64_t offset);
  Result<> request_ahead_of(uint64_t offset);
  void land(const Slot& slot);

  BlockQueue& lane_;
  const uint64_t block_bytes_;
  const uint64_t end_;
  std::array<Slot, kSlots> slots_;
  size_t first_ = 0;
  size_t count_ = 0;
  uint64_t next_read_ = 0;
  uint64_t ahead_bytes_ = kLeastAhead;
};

}  // namespace splitring
