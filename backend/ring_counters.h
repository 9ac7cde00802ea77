// The counters of one ring: its thread adds, any thread reads.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "backend/report.h"
#include "base/counter.h"

namespace splitring::backend {

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
  Counter in_flight;

  void record_latency(uint64_t nanoseconds) {
    const uint64_t us = nanoseconds / 1000;
    const auto bucket = static_cast<size_t>(std::bit_width(us));
    latency[bucket < kLatencyBuckets ? bucket : kLatencyBuckets - 1].add();
    latency_sum_us.add(us);
  }

  [[nodiscard]] CounterValues values() const;
};

}  // namespace splitring::backend
