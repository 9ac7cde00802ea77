#include "blkimage/io_stats.h"

#include <numeric>

namespace splitring {
namespace {

void bump(std::atomic<uint64_t>& counter, uint64_t by) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

uint64_t value(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

}  // namespace

uint64_t IoStats::PerOperation::completed() const {
  return std::accumulate(by_status.begin(), by_status.end(), uint64_t{0});
}

uint64_t IoStats::PerOperation::latency_quantile_ns(double fraction) const {
  const uint64_t all = std::accumulate(latency.begin(), latency.end(), uint64_t{0});
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < latency.size(); bucket++) {
    seen += latency[bucket];
    if (seen != 0 && static_cast<double>(seen) >= fraction * static_cast<double>(all))
      return latency_bucket_end_ns(bucket);
  }
  return 0;
}

void IoStats::PerOperation::add(const PerOperation& other) {
  bytes += other.bytes;
  total_ns += other.total_ns;
  for (size_t i = 0; i < by_status.size(); i++) by_status[i] += other.by_status[i];
  for (size_t i = 0; i < latency.size(); i++) latency[i] += other.latency[i];
}

void IoStats::add(const IoStats& other) {
  for (size_t i = 0; i < operations.size(); i++) operations[i].add(other.operations[i]);
}

void LaneStats::count(Operation operation, IoStatus status, uint64_t bytes,
                      uint64_t latency_ns) noexcept {
  PerOperation& counters = operations_[static_cast<size_t>(operation)];
  if (status == IoStatus::kOk) bump(counters.bytes, bytes);
  bump(counters.total_ns, latency_ns);
  bump(counters.by_status[static_cast<size_t>(status)], 1);
  bump(counters.latency[latency_bucket(latency_ns)], 1);
}

IoStats LaneStats::read() const {
  IoStats copy;
  for (size_t i = 0; i < operations_.size(); i++) {
    const PerOperation& from = operations_[i];
    IoStats::PerOperation& to = copy.operations[i];
    to.bytes = value(from.bytes);
    to.total_ns = value(from.total_ns);
    for (size_t n = 0; n < kStatusCount; n++) to.by_status[n] = value(from.by_status[n]);
    for (size_t n = 0; n < kLatencyBuckets; n++) to.latency[n] = value(from.latency[n]);
  }
  return copy;
}

}  // namespace splitring
