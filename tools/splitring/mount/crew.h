// How many threads wait for the kernel's requests at a time: few, so that those are awake and their
// caches warm (the kernel wakes those who wait in turn, and waking a thread costs more than most
// requests do); the rest stand aside until all of the few are busy, with a slow disk say.
//
// Any thread.
#pragma once

#include <condition_variable>
#include <mutex>

namespace splitring::tools {

class Crew {
 public:
  // Before a thread waits for a request; may keep it aside first. False: it is over.
  bool begin_watch(bool may_stand_aside) {
    std::unique_lock lock(mutex_);
    if (may_stand_aside) needed_.wait(lock, [this] { return over_ || on_watch_ < kOnWatch; });
    on_watch_++;
    return !over_;
  }
  // It has a request to answer.
  void end_watch() {
    const std::lock_guard lock(mutex_);
    if (--on_watch_ == 0) needed_.notify_one();
  }
  // Nobody stands aside any more.
  void dismiss() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    needed_.notify_all();
  }

 private:
  static constexpr int kOnWatch = 2;

  std::mutex mutex_;
  std::condition_variable needed_;
  int on_watch_ = 0;
  bool over_ = false;
};

}  // namespace splitring::tools
