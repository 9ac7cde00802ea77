// How often a guest may have the control thread look at its device (B30): a burst, and then so many
// times a second. What it writes in between is looked at together, a little later, since a step
// reads what is there then: a guest that writes in a loop holds up nobody's devices but its own.
//
// One thread owns a share.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace splitring::backend {

class StepShare {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kBurst = 64;  // several times a whole handshake and its end
  static constexpr std::chrono::milliseconds kInterval{10};  // of those that come after that

  // True: step the device now. False: later; kInterval later it is true again.
  [[nodiscard]] bool take(Clock::time_point now) {
    // As if all was used so long ago that the burst is just there again, at most.
    spent_until_ = std::max(spent_until_, now - kInterval * kBurst);
    if (spent_until_ + kInterval > now) return false;
    spent_until_ += kInterval;
    return true;
  }

 private:
  Clock::time_point spent_until_{};
};

}  // namespace splitring::backend
