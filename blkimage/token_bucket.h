// A rate limit: tokens drip in at a rate, up to a burst, and are spent. What costs more than there
// is may still start while any token is left, and is paid back before the next: so a request larger
// than the burst passes, and the rate holds on average. Pure: the caller brings the time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace splitring {

class TokenBucket {
 public:
  using Time = std::chrono::nanoseconds;  // since any fixed moment, never running backwards

  // `per_second` 0: no limit. `burst` at least 1, full at first.
  TokenBucket(uint64_t per_second, uint64_t burst, Time now)
      : per_second_(static_cast<double>(per_second)),
        burst_(static_cast<double>(std::max<uint64_t>(burst, 1))),
        tokens_(burst_),
        last_(now) {}

  // How long until something may start; zero: now.
  [[nodiscard]] Time delay(Time now) {
    if (per_second_ == 0) return Time::zero();
    refill(now);
    if (tokens_ >= 1) return Time::zero();
    // Rounded up, so that after that long it is really so.
    return Time(static_cast<int64_t>((1 - tokens_) / per_second_ * 1e9) + 1);
  }
  // Precondition: delay(now) is zero.
  void spend(uint64_t tokens) { tokens_ -= static_cast<double>(tokens); }

 private:
  void refill(Time now) {
    const double elapsed_s = static_cast<double>((now - last_).count()) / 1e9;
    tokens_ = std::min(burst_, tokens_ + elapsed_s * per_second_);
    last_ = now;
  }

  double per_second_;
  double burst_;
  double tokens_;
  Time last_;
};

}  // namespace splitring
