// What the backend tells about its devices: exact counters, written by the thread that owns a ring
// and read by any other.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "ring/blkif_request.h"
#include "xenbus/device_path.h"
#include "xenbus/xenbus_state.h"

namespace splitring::backend {

// What requests are counted by.
enum class Work : uint8_t { kRead, kWrite, kFlush, kDiscard };
inline constexpr size_t kWorkCount = 4;
const char* to_string(Work work);

// Bucket i counts latencies below 2^i microseconds and not below 2^(i-1); the last has no end.
inline constexpr size_t kLatencyBuckets = 24;

// A plain copy of the counters, for one ring or summed.
struct CounterValues {
  std::array<uint64_t, kWorkCount> requests{};            // answered OKAY
  std::array<uint64_t, kWorkCount> sectors{};             // of those
  std::array<uint64_t, kWorkCount> io_errors{};           // the image failed: answered ERROR
  std::array<uint64_t, blkif::kRefusalCount> refusals{};  // by reason: not passed to the image
  uint64_t grant_errors = 0;       // a page could not be mapped or copied: answered ERROR
  uint64_t broken_rings = 0;       // impossible producer index: the ring was stopped
  uint64_t wakeups = 0;            // times the thread slept and was woken by the frontend
  uint64_t spurious_wakeups = 0;   // of those, with nothing in the ring
  uint64_t notifications = 0;      // doorbells rung
  uint64_t persistent_hits = 0;    // pages found mapped
  uint64_t persistent_misses = 0;  // pages mapped and kept
  uint64_t persistent_evictions = 0;
  uint64_t copied_pages = 0;                        // pages moved by grant copy
  uint64_t mapped_pages = 0;                        // pages mapped for one request
  std::array<uint64_t, kLatencyBuckets> latency{};  // of all answered requests
  uint64_t latency_sum_us = 0;

  void add(const CounterValues& other);
};

struct DeviceReport {
  DevicePath path;
  std::string target;                         // the disk's URI
  XenbusState state = XenbusState::kUnknown;  // of our end
  std::string error;                          // why it is not connected, when it is not
  bool read_only = false;
  Sectors capacity;
  uint32_t block_bytes = kSectorSize;
  // While connected:
  uint32_t queues = 0;
  uint32_t ring_pages = 0;  // of each
  bool persistent_grants = false;
  std::string abi;
  uint64_t in_flight = 0;
  uint64_t steps = 0;      // looks of the control thread at the device
  CounterValues counters;  // since the device was attached
};

}  // namespace splitring::backend
