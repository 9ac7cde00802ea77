// Says which of many log lines may be written: ten a minute, the rest counted (B34).
// One owner thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace splitring::backend {

class LogLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kLinesPerMinute = 10;

  // True: write the line. `suppressed()` then tells how many were not since the last that was.
  [[nodiscard]] bool allow(Clock::time_point now) {
    if (now - window_start_ >= std::chrono::minutes(1)) {
      window_start_ = now;
      lines_ = 0;
    }
    if (lines_ < kLinesPerMinute) {
      lines_++;
      reported_ = suppressed_;
      suppressed_ = 0;
      return true;
    }
    suppressed_++;
    return false;
  }
  [[nodiscard]] uint64_t suppressed() const { return reported_; }

 private:
  Clock::time_point window_start_{};
  uint32_t lines_ = 0;
  uint64_t suppressed_ = 0;
  uint64_t reported_ = 0;
};

}  // namespace splitring::backend
