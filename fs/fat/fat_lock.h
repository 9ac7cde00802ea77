// The lock of a mounted volume: a mutex that work in the background takes when nobody else wants
// it. A plain one may go back and forth between a thread and itself for as long as that likes.
//
// Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace splitring {

class FatLock {
 public:
  void lock() {
    wanted_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock();
    if (wanted_.fetch_sub(1, std::memory_order_relaxed) == 1) wanted_.notify_all();
  }
  void unlock() { mutex_.unlock(); }
  // Behind whoever wants it now.
  void lock_last() {
    for (uint32_t others = wanted_; others != 0; others = wanted_)
      wanted_.wait(others, std::memory_order_relaxed);
    mutex_.lock();
  }

 private:
  std::mutex mutex_;
  std::atomic<uint32_t> wanted_{0};  // threads in lock()
};

}  // namespace splitring
