#include "fs/tar/read_ahead.h"

#include <algorithm>
#include <string>

namespace splitring {

ReadAhead::ReadAhead(BlockQueue& lane)
    : lane_(lane),
      block_bytes_(lane.geometry().logical_block_bytes),
      end_(lane.geometry().capacity.bytes() / block_bytes_ * block_bytes_) {}

ReadAhead::~ReadAhead() {
  for (const Slot& slot : slots_) land(slot);
}

void ReadAhead::land(const Slot& slot) {
  while (slot.flying) lane_.wait();
}

Result<> ReadAhead::move_to(uint64_t offset) {
  if (offset >= next_read_) {
    // Nothing requested is of use. Slots still flying are waited for when they are reused.
    first_ = (first_ + count_) % kSlots;
    count_ = 0;
    ahead_bytes_ =
        offset - next_read_ > kSmallSkip ? kLeastAhead : std::min(2 * ahead_bytes_, kMostAhead);
    next_read_ = offset / block_bytes_ * block_bytes_;
  }
  while (count_ != 0 && offset - slots_[first_].start >= slots_[first_].length) {
    first_ = (first_ + 1) % kSlots;
    count_--;
    ahead_bytes_ = std::min(2 * ahead_bytes_, kMostAhead);
  }
  TRY_VOID(request_ahead_of(offset));
  const Slot& front = slots_[first_];
  land(front);
  if (front.status != IoStatus::kOk)
    return fail(errc_from(front.status),
                "read of " + std::to_string(front.length) + " bytes at sector " +
                    std::to_string(front.first.count) + ": " + to_string(front.status));
  return {};
}

Result<> ReadAhead::request_ahead_of(uint64_t offset) {
  const uint64_t wanted = std::clamp<uint64_t>(ahead_bytes_ / kSlots, kLeastAhead, kSlotBytes);
  while (count_ < kSlots && next_read_ < end_ && next_read_ < offset + ahead_bytes_) {
    Slot& slot = slots_[(first_ + count_) % kSlots];
    land(slot);
    if (slot.memory.bytes().empty()) slot.memory = TRY(LaneMemory::allocate(lane_, kSlotBytes));
    slot.start = next_read_;
    slot.length = std::min(wanted, end_ - next_read_);
    slot.first = Sectors::from_bytes(slot.start);
    slot.buffer = {slot.memory.bytes().data(), slot.length};
    slot.buffers = std::span(&slot.buffer, 1);
    slot.complete = [](BlockRequest& request) noexcept {
      static_cast<Slot&>(request).flying = false;
    };
    slot.flying = true;
    lane_.submit(slot);
    next_read_ += slot.length;
    count_++;
  }
  lane_.kick();
  return {};
}

}  // namespace splitring
