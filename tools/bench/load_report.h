// What every load program of the benchmark measures in the same way, and prints as one JSON line.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace splitring::bench {

inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The most memory that this process has had. getrusage() would count what it was before exec too.
inline uint64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib;
  }
  return 0;
}

// Of another process, in the kernel's clock ticks (10 ms). 0 for no process.
inline double process_cpu_seconds(int pid) {
  if (pid <= 0) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  unsigned long user = 0;
  unsigned long system = 0;
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  // Fields 14 and 15 of proc(5), counted from the one behind the name.
  std::sscanf(text.c_str() + name_end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
              &user, &system);
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

inline void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

// Latencies up to a bound, so that recording them allocates nothing.
class Latencies {
 public:
  Latencies() { samples_.reserve(kMost); }
  void add(int64_t nanoseconds) {
    if (samples_.size() < kMost) samples_.push_back(static_cast<uint32_t>(nanoseconds));
  }
  double percentile_us(double fraction) {
    if (samples_.empty()) return 0;
    const auto nth = samples_.begin() + static_cast<std::ptrdiff_t>(
                                            fraction * static_cast<double>(samples_.size() - 1));
    std::nth_element(samples_.begin(), nth, samples_.end());
    return *nth / 1e3;
  }

 private:
  static constexpr size_t kMost = 4U << 20;
  std::vector<uint32_t> samples_;
};

inline void print_report(uint64_t requests, double seconds, uint64_t block_bytes,
                         Latencies& latencies, double client_cpu_seconds,
                         double server_cpu_seconds) {
  const auto count = static_cast<double>(std::max<uint64_t>(requests, 1));
  std::printf(
      "{\"iops\": %.0f, \"mb_per_s\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, "
      "\"client_cpu_us\": %.3f, \"server_cpu_us\": %.3f}\n",
      count / seconds, count * static_cast<double>(block_bytes) / seconds / 1e6,
      latencies.percentile_us(0.5), latencies.percentile_us(0.99), client_cpu_seconds * 1e6 / count,
      server_cpu_seconds * 1e6 / count);
}

}  // namespace splitring::bench
