// How a thread that nobody waits for tells the control thread that something of it has changed; and
// how it stops doing so once the control thread has left it to itself.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <mutex>

namespace splitring::backend {

class ChangeNotice {
 public:
  // An eventfd, open until silence().
  explicit ChangeNotice(int event_fd) : event_fd_(event_fd) {}

  void give() {
    const std::lock_guard lock(mutex_);
    const uint64_t one = 1;
    // Fails only when the counter is full, and then it is readable already.
    if (!silent_) static_cast<void>(!::write(event_fd_, &one, sizeof one));
  }
  // The descriptor may be closed from now on.
  void silence() {
    const std::lock_guard lock(mutex_);
    silent_ = true;
  }

 private:
  std::mutex mutex_;
  int event_fd_;
  bool silent_ = false;
};

}  // namespace splitring::backend
