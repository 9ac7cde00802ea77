// A doorbell within a test: counts how often the backend rings it, and can be rung by the test from
// any thread.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>

#include "base/unique_fd.h"
#include "grant/event_channel.h"

namespace splitring::backend {

class CountingChannel final : public EventChannel {
 public:
  // The guest rings.
  void ring() {
    const uint64_t one = 1;
    static_cast<void>(!::write(fd_.get(), &one, sizeof one));
  }
  // The backend has acknowledged every ring so far.
  [[nodiscard]] bool heard() const {
    pollfd bell = {fd_.get(), POLLIN, 0};
    return ::poll(&bell, 1, 0) == 0;
  }
  [[nodiscard]] uint64_t notifications() const { return notifications_.load(); }

  [[nodiscard]] Port port() const override { return Port{1}; }
  [[nodiscard]] int fd() const override { return fd_.get(); }
  Result<> notify() override {
    notifications_++;
    return {};
  }
  Result<> acknowledge() override {
    uint64_t count = 0;
    static_cast<void>(!::read(fd_.get(), &count, sizeof count));
    return {};
  }

 private:
  UniqueFd fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<uint64_t> notifications_{0};
};

}  // namespace splitring::backend
