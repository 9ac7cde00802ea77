// Latencies in buckets, for percentiles: each bucket is at most 1/32 of its value wide.
//
// One thread records; add() sums what threads have recorded.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace splitring::tools {

class LatencyHistogram {
 public:
  void record(uint64_t nanoseconds) {
    counts_[bucket_of(nanoseconds)]++;
    total_++;
  }

  void add(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; i++) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }

  [[nodiscard]] uint64_t total() const { return total_; }

  // The smallest bucket's end that `share` of all latencies do not exceed. 0 if there are none.
  [[nodiscard]] uint64_t percentile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; i++) {
      seen += counts_[i];
      if (seen != 0 && seen >= wanted) return end_of(i);
    }
    return 0;
  }

 private:
  static constexpr int kSubBits = 5;  // 32 buckets between a power of two and the next
  static constexpr size_t kSub = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  // Below 32 a bucket for each value; above, the 5 bits behind the leading one choose.
  static size_t bucket_of(uint64_t value) {
    if (value < kSub) return static_cast<size_t>(value);
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
    return (static_cast<size_t>(shift + 1) << kSubBits) + ((value >> shift) & (kSub - 1));
  }
  static uint64_t end_of(size_t bucket) {
    if (bucket < kSub) return bucket;
    const size_t shift = (bucket >> kSubBits) - 1;
    return ((kSub + (bucket & (kSub - 1)) + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0;
};

}  // namespace splitring::tools
