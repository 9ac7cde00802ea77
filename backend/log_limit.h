// Says which of a device's many log lines may be written: ten a minute, the rest counted (B34). A
// device's rings share one, so that reconnecting does not buy a guest more lines.
// Thread-safe; takes a lock, so only what goes wrong asks it.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace splitring::backend {

class LogLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kLinesPerMinute = 10;

  // A value: write the line; the value tells how many were not since the last that was.
  [[nodiscard]] std::optional<uint64_t> admit(Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (now - window_start_ >= std::chrono::minutes(1)) {
      window_start_ = now;
      lines_ = 0;
    }
    if (lines_ == kLinesPerMinute) {
      suppressed_++;
      return std::nullopt;
    }
    lines_++;
    return std::exchange(suppressed_, 0);
  }

 private:
  std::mutex mutex_;
  Clock::time_point window_start_{};
  uint32_t lines_ = 0;
  uint64_t suppressed_ = 0;
};

}  // namespace splitring::backend
