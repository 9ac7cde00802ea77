// A mutex that is held for some microseconds: who finds it taken looks again for about as long
// before it sleeps, because sleeping and being woken takes several times that, and all who wait
// behind it wait for that as well. Any thread. For std::lock_guard and std::unique_lock.
#pragma once

#include <mutex>

#include "base/spin_wait.h"

namespace splitring::kv {

class BriefMutex {
 public:
  void lock() {
    for (int look = 0; look < kLooks; look++) {
      if (mutex_.try_lock()) return;
      for (int i = 0; i < kPausesPerLook; i++) cpu_relax();
    }
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  // Some 5 us together, two small transactions.
  static constexpr int kLooks = 50;
  static constexpr int kPausesPerLook = 4;

  std::mutex mutex_;
};

}  // namespace splitring::kv
