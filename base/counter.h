// A counter, or a gauge, that one thread writes and any thread reads: exact, and as cheap as a
// plain integer (relaxed loads and stores, no locked instruction).
#pragma once

#include <atomic>
#include <cstdint>

namespace splitring {

class Counter {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace splitring
