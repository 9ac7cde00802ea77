// Pages for a ring in a test's own memory, with a way to write the shared indices as a hostile
// peer would. One thread, or the two ends of a ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "base/units.h"

namespace splitring {

// Where ring.h of Xen puts the four indices; written apart from ring/ring_layout.h on purpose.
enum class RingIndex : size_t {
  kRequestProducer = 0,
  kRequestEvent = 4,
  kResponseProducer = 8,
  kResponseEvent = 12,
};

inline constexpr size_t kRingHeaderBytes = 64;

class RingPages {
 public:
  explicit RingPages(size_t pages = 1, uint8_t fill = 0)
      : size_(pages * kPageSize),
        memory_(static_cast<std::byte*>(std::aligned_alloc(kPageSize, size_))) {
    std::memset(memory_.get(), fill, size_);
  }

  [[nodiscard]] std::span<std::byte> bytes() { return {memory_.get(), size_}; }
  [[nodiscard]] std::byte* data() { return memory_.get(); }

  [[nodiscard]] uint32_t index(RingIndex which) const {
    uint32_t value = 0;
    std::memcpy(&value, memory_.get() + static_cast<size_t>(which), sizeof value);
    return value;
  }
  void set_index(RingIndex which, uint32_t value) {
    std::memcpy(memory_.get() + static_cast<size_t>(which), &value, sizeof value);
  }
  [[nodiscard]] std::span<std::byte> slot(uint32_t number, size_t slot_bytes) {
    return bytes().subspan(kRingHeaderBytes + number * slot_bytes, slot_bytes);
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  size_t size_;
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace splitring
