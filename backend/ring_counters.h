// The counters of one ring: one thread adds, any thread reads. Exact, and as cheap as plain
// integers (a relaxed load and store, no locked instruction).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "backend/report.h"

namespace splitring::backend {

class Counter {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct RingCounters {
  std::array<Counter, kWorkCount> requests;
  std::array<Counter, kWorkCount> sectors;
  std::array<Counter, kWorkCount> io_errors;
  std::array<Counter, blkif::kRefusalCount> refusals;
  Counter grant_errors;
  Counter broken_rings;
  Counter wakeups;
  Counter spurious_wakeups;
  Counter notifications;
  Counter persistent_hits;
  Counter persistent_misses;
  Counter persistent_evictions;
  Counter copied_pages;
  Counter mapped_pages;
  std::array<Counter, kLatencyBuckets> latency;
  Counter latency_sum_us;
  std::atomic<uint32_t> in_flight{0};

  void record_latency(uint64_t nanoseconds) {
    const uint64_t us = nanoseconds / 1000;
    const auto bucket = static_cast<size_t>(std::bit_width(us));
    latency[bucket < kLatencyBuckets ? bucket : kLatencyBuckets - 1].add();
    latency_sum_us.add(us);
  }

  [[nodiscard]] CounterValues values() const;
};

}  // namespace splitring::backend
