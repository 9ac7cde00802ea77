// Where threads wait for a batch that somebody else writes. Any thread.
//
//   take a ticket while what is waited for cannot have happened (under the lock that says so);
//   unlock; wait(ticket): returns once it has rung since, or earlier: look again.
//
// A batch is over within some ten microseconds, and putting a thread to sleep and waking it costs a
// good part of that: so a waiter first lets others run, and sleeps when that did not help.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace splitring::kv {

class Bell {
 public:
  using Ticket = uint32_t;

  [[nodiscard]] Ticket ticket() const noexcept { return rung_.load(std::memory_order_acquire); }
  void wait(Ticket ticket) const noexcept {
    for (int i = 0; i < kYields; i++) {
      if (rung_.load(std::memory_order_acquire) != ticket) return;
      ::sched_yield();
    }
    rung_.wait(ticket, std::memory_order_acquire);
  }
  void ring_one() noexcept {
    rung_.fetch_add(1, std::memory_order_acq_rel);
    rung_.notify_one();
  }
  void ring() noexcept {
    rung_.fetch_add(1, std::memory_order_acq_rel);
    rung_.notify_all();
  }

 private:
  static constexpr int kYields = 16;

  alignas(64) std::atomic<uint32_t> rung_{0};
};

}  // namespace splitring::kv
