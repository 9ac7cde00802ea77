// How far a long command has come: one line on standard error, on a terminal only.
#pragma once

#include <chrono>
#include <cstdint>

namespace splitring::tools {

class ProgressBar {
 public:
  // `wanted` false, or standard error is no terminal: shows nothing.
  explicit ProgressBar(bool wanted);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  // Else nobody sees the total: what it costs to find can be saved.
  [[nodiscard]] bool enabled() const { return enabled_; }
  // Draws at most ten times a second.
  void show(uint64_t done_bytes, uint64_t total_bytes);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool enabled_;
  bool coloured_;  // not with NO_COLOR in the environment (no-color.org)
  bool drawn_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point next_draw_ = begin_;
};

}  // namespace splitring::tools
