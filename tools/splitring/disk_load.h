// A steady load on a disk, and what it measured: the engine of `splitring bench`.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/spin_wait.h"
#include "blkimage/block_device.h"
#include "tools/splitring/latency_histogram.h"

namespace splitring::tools {

struct LoadSpec {
  bool write = false;
  bool random = true;
  uint32_t block_bytes = 4096;
  uint32_t depth = 32;  // requests in flight on each lane
  uint32_t lanes = 1;   // a thread each
  std::chrono::milliseconds duration{2000};
  SpinWait::Mode polling = SpinWait::Mode::kAuto;
  std::vector<uint32_t> cpus;         // lane i runs on cpus[i % size]; empty: anywhere
  std::optional<int> server_process;  // whose CPU time is metered too
};

struct LoadReport {
  LatencyHistogram latency;  // of every request within the measured time
  double seconds = 0;
  double client_cpu_us_per_io = 0;
  std::optional<double> server_cpu_us_per_io;
};

// Runs the load for spec.duration, after a short run-up that is not measured. Nothing is allocated
// for a request. Errors: the spec does not fit the disk; a request failed.
Result<LoadReport> run_load(BlockDevice& disk, const LoadSpec& spec);

}  // namespace splitring::tools
