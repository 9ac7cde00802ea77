// When to spin before sleeping. A wake-up across CPUs costs some 10 us; looking at a cache line
// that the other side is about to write costs nothing but this CPU. Spinning pays only if the other
// side runs meanwhile and answers soon, so the automatic mode watches whether it has paid.
//
// One owner thread. Pure but for the clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace splitring {

inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class SpinWait {
 public:
  enum class Mode : uint8_t {
    kOff,   // sleep at once
    kAuto,  // spin while that has been paying
    kOn,    // always spin for a window before sleeping
  };

  explicit SpinWait(Mode mode = Mode::kAuto,
                    std::chrono::nanoseconds window = std::chrono::microseconds(25))
      : mode_(mode), window_(window) {}

  // Calls `ready` again and again for at most the window; true as soon as it returns true. In
  // automatic mode may return false at once.
  template <class Ready>
  bool spin(Ready&& ready) {
    if (mode_ == Mode::kOff || !worth_trying()) return false;
    const auto end = std::chrono::steady_clock::now() + window_;
    do {
      for (int i = 0; i < kLooksPerClockRead; i++) {
        if (ready()) {
          misses_ = 0;
          skips_after_miss_ = 0;
          return true;
        }
        cpu_relax();
      }
    } while (std::chrono::steady_clock::now() < end);
    missed();
    return false;
  }

  [[nodiscard]] Mode mode() const { return mode_; }

 private:
  static constexpr int kLooksPerClockRead = 16;
  static constexpr uint32_t kMissesTolerated = 4;
  static constexpr uint32_t kMaxSkips = 1024;

  bool worth_trying() {
    if (mode_ == Mode::kOn || skips_left_ == 0) return true;
    skips_left_--;
    return false;
  }
  // After a few misses in a row skip a doubling number of chances, then try once again.
  void missed() {
    if (++misses_ < kMissesTolerated) return;
    skips_after_miss_ = skips_after_miss_ == 0 ? 1 : skips_after_miss_ * 2;
    if (skips_after_miss_ > kMaxSkips) skips_after_miss_ = kMaxSkips;
    skips_left_ = skips_after_miss_;
  }

  Mode mode_;
  std::chrono::nanoseconds window_;
  uint32_t misses_ = 0;
  uint32_t skips_after_miss_ = 0;
  uint32_t skips_left_ = 0;
};

}  // namespace splitring
