#include "fs/tar/tar_output.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace splitring {
namespace {

constexpr uint64_t kRecordBytes = 10240;  // twenty blocks: the default of every tar
constexpr std::array<std::byte, kTarBlockBytes> kZeroBlock{};

}  // namespace

TarOutput::TarOutput(BlockQueue& lane, uint64_t begin)
    : lane_(lane),
      begin_(begin),
      block_bytes_(lane.geometry().logical_block_bytes),
      offset_(begin),
      slot_start_(begin / block_bytes_ * block_bytes_) {}

TarOutput::~TarOutput() {
  for (const Slot& slot : slots_) {
    while (slot.flying) lane_.wait();
  }
}

uint64_t TarOutput::end_of_archive(uint64_t offset) {
  return round_up(offset + 2 * kTarBlockBytes, kRecordBytes);
}

Result<> TarOutput::start() {
  if (begin_ == 0) {
    TRY_VOID(write_held(0));  // zeroes still
    TRY_VOID(write_held(kTarBlockBytes));
  }
  TRY_VOID(begin_slot());
  if (slot_start_ == begin_) return {};
  // Between the disk's blocks: what lies before stays.
  return lane_.read(Sectors::from_bytes(slot_start_),
                    slots_[slot_].memory.bytes().first(block_bytes_));
}

Result<> TarOutput::begin_slot() {
  Slot& slot = slots_[slot_];
  TRY_VOID(land(slot));
  if (slot.memory.bytes().empty()) slot.memory = TRY(LaneMemory::allocate(lane_, kSlotBytes));
  return {};
}

Result<> TarOutput::land(Slot& slot) {
  while (slot.flying) lane_.wait();
  if (slot.status == IoStatus::kOk) return {};
  return fail(errc_from(slot.status), "write of " + std::to_string(slot.byte_count) +
                                          " bytes at sector " + std::to_string(slot.first.count) +
                                          ": " + to_string(slot.status));
}

Result<> TarOutput::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t part = std::min<uint64_t>(bytes.size(), slot_start_ + kSlotBytes - offset_);
    std::byte* to = slots_[slot_].memory.bytes().data() + (offset_ - slot_start_);
    if (const uint64_t at = offset_ - begin_; at < kHeldBytes) {
      part = std::min<uint64_t>(part, kHeldBytes - at);
      std::memcpy(held_.data() + at, bytes.data(), part);
      std::memset(to, 0, part);
    } else {
      std::memcpy(to, bytes.data(), part);
    }
    bytes = bytes.subspan(part);
    offset_ += part;
    if (offset_ == slot_start_ + kSlotBytes) TRY_VOID(send_slot());
  }
  return {};
}

Result<> TarOutput::pad() {
  const uint64_t over = offset_ % kTarBlockBytes;
  return over == 0 ? Result<>() : put(std::span(kZeroBlock).subspan(over));
}

// What has been filled, which is whole blocks of the disk.
Result<> TarOutput::send_slot() {
  Slot& slot = slots_[slot_];
  const uint64_t bytes = offset_ - slot_start_;
  if (!in_range(slot_start_, bytes, lane_.geometry().capacity.bytes()))
    return fail(Errc::kNoSpace, "the archive does not fit the disk: it is larger than " +
                                    std::to_string(lane_.geometry().capacity.bytes()) + " bytes");
  slot.operation = Operation::kWrite;
  slot.first = Sectors::from_bytes(slot_start_);
  slot.buffer = {slot.memory.bytes().data(), bytes};
  slot.buffers = std::span(&slot.buffer, 1);
  slot.complete = [](BlockRequest& request) noexcept {
    static_cast<Slot&>(request).flying = false;
  };
  slot.flying = true;
  lane_.submit(slot);
  lane_.kick();
  slot_start_ = offset_;
  slot_ = (slot_ + 1) % kSlots;
  return begin_slot();
}

Result<> TarOutput::finish() {
  TRY_VOID(pad());
  const uint64_t capacity = lane_.geometry().capacity.bytes();
  const uint64_t least = round_up(offset_ + 2 * kTarBlockBytes, block_bytes_);
  const uint64_t wanted = round_up(end_of_archive(offset_), block_bytes_);
  const uint64_t end = wanted <= capacity ? wanted : least;
  while (offset_ < end) TRY_VOID(put(kZeroBlock));
  if (offset_ != slot_start_) TRY_VOID(send_slot());
  for (Slot& slot : slots_) TRY_VOID(land(slot));
  TRY_VOID(lane_.flush());
  // Step 2 has nothing to do for a member without a body.
  if (!std::ranges::equal(std::span(held_).last(kTarBlockBytes), kZeroBlock))
    TRY_VOID(write_held(kTarBlockBytes));
  return write_held(0);
}

// One of the two first blocks, within the disk's block around it.
Result<> TarOutput::write_held(size_t from) {
  const uint64_t at = begin_ + from;
  const uint64_t block = at / block_bytes_ * block_bytes_;
  if (!in_range(block, block_bytes_, lane_.geometry().capacity.bytes()))
    return fail(Errc::kNoSpace, "the disk is too small for an archive");
  LaneMemory memory = TRY(LaneMemory::allocate(lane_, block_bytes_));
  const std::span<std::byte> bytes = memory.bytes().first(block_bytes_);
  TRY_VOID(lane_.read(Sectors::from_bytes(block), bytes));
  std::memcpy(bytes.data() + (at - block), held_.data() + from, kTarBlockBytes);
  TRY_VOID(lane_.write(Sectors::from_bytes(block), bytes));
  return lane_.flush();
}

}  // namespace splitring
