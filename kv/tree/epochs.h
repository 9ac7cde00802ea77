// Who may still be looking at what: so that readers take no lock and what they see is not reused
// under them.
//
// A reader pins the present epoch before it looks at anything shared, and lets go afterwards: one
// exchange and one store. Whoever takes something out of view retires it in an epoch, and may reuse
// it once every pin is of a later one. Pins are of two kinds: of a read, which ends by itself, and
// of a view, which its user holds as long as he likes; memory of the page cache waits for the
// first kind only, pages on the disk and versions of the store for both.
//
// A reader's first look at what may be retired is sequentially consistent, as pin() and retire()
// are: either it sees what replaced that, or oldest() sees its pin. (On x86 such a load costs
// nothing.)
//
// Slots are claimed and given back without a lock. Any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"

namespace splitring::kv {

class Epochs {
 public:
  static constexpr size_t kSlots = 1024;  // reads and views that can be at the same time
  static constexpr uint64_t kIdle = UINT64_MAX;

  class Slot {
   public:
    void pin(const std::atomic<uint64_t>& now) noexcept {
      // Seen by whoever retires something that this reader still finds.
      epoch_.exchange(now.load(std::memory_order_acquire), std::memory_order_seq_cst);
    }
    void unpin() noexcept { epoch_.store(kIdle, std::memory_order_release); }

   private:
    friend class Epochs;
    std::atomic<uint64_t> epoch_{kIdle};
    std::atomic<bool> taken_{false};
    char apart_[64 - 2 * sizeof(std::atomic<uint64_t>)];  // a cache line each
  };

  // kLimit: no slot is free.
  Result<Slot*> claim(bool view) {
    for (size_t i = 0; i < kSlots; i++) {
      auto& slot = (view ? views_ : reads_)[i];
      bool free = false;
      if (slot.taken_.load(std::memory_order_relaxed) ||
          !slot.taken_.compare_exchange_strong(free, true, std::memory_order_acq_rel))
        continue;
      auto& used = view ? used_views_ : used_reads_;
      size_t most = used.load(std::memory_order_relaxed);
      while (most < i + 1 && !used.compare_exchange_weak(most, i + 1)) {
      }
      return &slot;
    }
    return fail(Errc::kLimit, "a store has 1024 readers and views at most");
  }
  static void give_back(Slot& slot) noexcept {
    slot.unpin();
    slot.taken_.store(false, std::memory_order_release);
  }

  [[nodiscard]] const std::atomic<uint64_t>& now() const { return now_; }
  // What left view before this call may be reused once the oldest pin is later than the result.
  uint64_t retire() noexcept { return now_.fetch_add(1, std::memory_order_seq_cst); }

  // No pin of the kind is older; kIdle: there is none.
  [[nodiscard]] uint64_t oldest_read() const noexcept { return oldest(reads_, used_reads_); }
  [[nodiscard]] uint64_t oldest() const noexcept {
    return std::min(oldest_read(), oldest(views_, used_views_));
  }

 private:
  using Slots = std::array<Slot, kSlots>;
  static uint64_t oldest(const Slots& slots, const std::atomic<size_t>& used) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t least = kIdle;
    const size_t count = used.load(std::memory_order_seq_cst);
    for (size_t i = 0; i < count; i++)
      least = std::min(least, slots[i].epoch_.load(std::memory_order_seq_cst));
    return least;
  }

  alignas(64) std::atomic<uint64_t> now_{1};
  alignas(64) std::atomic<size_t> used_reads_{0};
  std::atomic<size_t> used_views_{0};
  alignas(64) Slots reads_;
  Slots views_;
};

// Pins for as long as it lives.
class Pin {
 public:
  Pin(Epochs& epochs, Epochs::Slot& slot) : slot_(&slot) { slot.pin(epochs.now()); }
  ~Pin() { slot_->unpin(); }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  Epochs::Slot* slot_;
};

}  // namespace splitring::kv
