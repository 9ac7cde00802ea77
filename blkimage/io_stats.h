// Counts and latencies of a disk's requests. Pure data; see stats_device.h for who fills it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "blkimage/block_device.h"

namespace splitring {

inline constexpr size_t kStatusCount = 9;  // of IoStatus
static_assert(static_cast<size_t>(IoStatus::kGone) + 1 == kStatusCount);

// Bucket i counts latencies below 2^i nanoseconds that no smaller bucket took; the last takes all
// the rest, from 2^38 ns = 275 s.
inline constexpr size_t kLatencyBuckets = 40;
[[nodiscard]] constexpr size_t latency_bucket(uint64_t nanoseconds) {
  const auto width = static_cast<size_t>(std::bit_width(nanoseconds));
  return width < kLatencyBuckets ? width : kLatencyBuckets - 1;
}
[[nodiscard]] constexpr uint64_t latency_bucket_end_ns(size_t bucket) {
  return uint64_t{1} << bucket;
}

// A copy of the counters, for whoever reads them.
struct IoStats {
  struct PerOperation {
    uint64_t bytes = 0;  // of those that succeeded
    uint64_t total_ns = 0;
    std::array<uint64_t, kStatusCount> by_status{};  // completed
    std::array<uint64_t, kLatencyBuckets> latency{};

    [[nodiscard]] uint64_t completed() const;
    [[nodiscard]] uint64_t failed() const { return completed() - by_status[0]; }
    // An upper bound of the latency that `fraction` (0 to 1) of the requests kept; 0 if there were
    // none.
    [[nodiscard]] uint64_t latency_quantile_ns(double fraction) const;
    void add(const PerOperation& other);
  };
  std::array<PerOperation, kOperationCount> operations{};

  [[nodiscard]] const PerOperation& of(Operation operation) const {
    return operations[static_cast<size_t>(operation)];
  }
  void add(const IoStats& other);
};

// The counters of one lane: its thread writes, any thread reads. No read-modify-write is atomic,
// and none has to be, because there is one writer.
class LaneStats {
 public:
  void count(Operation operation, IoStatus status, uint64_t bytes, uint64_t latency_ns) noexcept;
  // Each number is exact; together they may be in the middle of a request.
  [[nodiscard]] IoStats read() const;

 private:
  using Counter = std::atomic<uint64_t>;
  struct PerOperation {
    Counter bytes{0};
    Counter total_ns{0};
    std::array<Counter, kStatusCount> by_status{};
    std::array<Counter, kLatencyBuckets> latency{};
  };
  std::array<PerOperation, kOperationCount> operations_{};
};

}  // namespace splitring
