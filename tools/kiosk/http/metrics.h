// What the kiosk counts. Each worker thread writes counters of its own, so that counting meets no
// lock and shares no cache line; a scrape adds them up.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "base/counter.h"

namespace splitring::http {

// Every status that the kiosk answers with.
inline constexpr std::array<unsigned, 25> kStatuses = {200, 206, 304, 301, 404, 101, 201, 204, 400,
                                                       403, 405, 409, 411, 412, 413, 414, 416, 417,
                                                       426, 431, 500, 501, 503, 505, 507};
// Upper bounds of the latency histogram, from the end of the request's head to the end of the
// answer's last write.
inline constexpr std::array<std::chrono::microseconds, 12> kLatencyBounds = {
    std::chrono::microseconds(25),     std::chrono::microseconds(50),
    std::chrono::microseconds(100),    std::chrono::microseconds(250),
    std::chrono::microseconds(500),    std::chrono::microseconds(1000),
    std::chrono::microseconds(2500),   std::chrono::microseconds(5000),
    std::chrono::microseconds(10000),  std::chrono::microseconds(50000),
    std::chrono::microseconds(250000), std::chrono::microseconds(1000000)};

struct alignas(64) WorkerMetrics {
  std::array<Counter, kStatuses.size()> requests;
  std::array<Counter, kLatencyBounds.size() + 1> latency;  // the last: above every bound
  Counter latency_sum_ns;
  Counter sent_bytes;  // heads and bodies
  Counter disk_reads;
  Counter disk_read_bytes;
  Counter disk_read_errors;
  Counter connections;
  Counter closed_connections;
  Counter timeouts;

  void count_request(unsigned status, std::chrono::nanoseconds latency);
};

// Thread-safe.
class Metrics {
 public:
  // Lives as long as this does.
  WorkerMetrics& add_worker();
  // The exposition format of Prometheus.
  [[nodiscard]] std::string text() const;

  // Over all workers.
  struct Totals {
    uint64_t requests = 0;
    uint64_t sent_bytes = 0;
    uint64_t connections = 0;
    uint64_t closed_connections = 0;
    std::array<uint64_t, kLatencyBounds.size() + 1> latency{};
    uint64_t latency_sum_ns = 0;
  };
  [[nodiscard]] Totals totals() const;

 private:
  mutable std::mutex mutex_;
  std::list<WorkerMetrics> workers_;
};

}  // namespace splitring::http
