// For how long not to listen to a frontend that rings for nothing again and again (B12). Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace splitring::backend {

class DoorbellBackOff {
 public:
  // Of each wake-up by the frontend: whether it brought a request.
  void note(bool useful) {
    if (useful) {
      in_a_row_ = 0;
      return;
    }
    if (++in_a_row_ < kTolerated) return;
    milliseconds_ = std::min(1 << std::min(in_a_row_ - kTolerated, 4U), kMostMs);
  }
  // 0: listen.
  [[nodiscard]] int milliseconds() const { return milliseconds_; }
  void passed() { milliseconds_ = 0; }

 private:
  static constexpr uint32_t kTolerated = 16;
  static constexpr int kMostMs = 16;

  uint32_t in_a_row_ = 0;
  int milliseconds_ = 0;
};

}  // namespace splitring::backend
