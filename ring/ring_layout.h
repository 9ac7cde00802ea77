// A ring in shared pages: where its indices and slots lie, and when to ring the doorbell.
//
//   byte 0        4          8         12         16      64              64 + slots * entry
//   | req_prod | req_event | rsp_prod | rsp_event | unused | slot 0 | slot 1 | ...
//
// Requests and responses share the slots: a response overwrites the slot of a request that has been
// consumed. Indices are counters that wrap at 2^32: compare them by subtraction only.
//
// Source: xen/include/public/io/ring.h of Xen 4.17 (__RING_SIZE, RING_PUSH_*_AND_CHECK_NOTIFY).
#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/units.h"

namespace splitring {

// 16 pages: what Linux, QEMU and Windows go up to.
inline constexpr uint32_t kMaxRingPageOrder = 4;

template <class Wire>
class RingLayout {
 public:
  static constexpr size_t kRequestProducer = 0;
  static constexpr size_t kRequestEvent = 4;
  static constexpr size_t kResponseProducer = 8;
  static constexpr size_t kResponseEvent = 12;
  static constexpr size_t kSlots = 64;
  static constexpr size_t kSlotBytes =
      std::max(sizeof(typename Wire::Request), sizeof(typename Wire::Response));

  // Precondition: whole pages, a power of two of them, page-aligned.
  explicit RingLayout(std::span<std::byte> pages)
      : base_(pages.data()),
        slots_(static_cast<uint32_t>(std::bit_floor((pages.size() - kSlots) / kSlotBytes))) {
    assert(pages.size() >= kPageSize && is_power_of_two(pages.size()));
  }

  [[nodiscard]] uint32_t slots() const { return slots_; }
  [[nodiscard]] std::byte* header(size_t offset) const { return base_ + offset; }
  [[nodiscard]] std::byte* slot(uint32_t index) const {
    return base_ + kSlots + static_cast<size_t>(index & (slots_ - 1)) * kSlotBytes;
  }

 private:
  std::byte* base_;
  uint32_t slots_;
};

// True if moving a producer index from `old_index` to `new_index` passes the point at which the
// other side asked to be woken.
[[nodiscard]] constexpr bool passes_event(uint32_t old_index, uint32_t new_index, uint32_t event) {
  return new_index - event < new_index - old_index;
}

}  // namespace splitring
