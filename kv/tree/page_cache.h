// Pages of the disk in a piece of memory whose size the user gave.
//
// A set-associative table: a page's number says which eight slots, one cache line, it may be in;
// a slot is one word, page and frame. So a hit costs one look at the table, and neither hit nor
// miss takes a lock. Pages in it are immutable and have passed their checks. A frame that was taken
// out is reused once no read that began before is still going on (epochs.h).
//
// Frames to read into come from a Supply, one a thread. When readers that are slow hold everything
// it has, there is none: the reader goes on with memory of its own that is not shared.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kv/tree/epochs.h"
#include "kv/tree/format.h"
#include "kv/tree/large_memory.h"

namespace splitring::kv {

class PageCache {
 public:
  static constexpr uint32_t kNoFrame = UINT32_MAX;
  static constexpr size_t kLeastBytes = size_t{1} << 20;
  class Supply;

  // At least kLeastBytes are taken. kLimit: no such memory.
  static Result<std::unique_ptr<PageCache>> create(size_t bytes, Epochs& epochs);

  // Null: not here. Precondition: a read is pinned; the page stays until that ends.
  [[nodiscard]] const std::byte* find(uint64_t page) noexcept {
    std::atomic<uint64_t>* const set = set_of(page);
    for (size_t i = 0; i < kWays; i++) {
      uint64_t entry = set[i].load(std::memory_order_seq_cst);
      if (entry >> kPageShift != page || entry == 0) continue;
      std::byte* const found = frame_bytes(frame_of(entry));
      // Of this entry only: the slot may be another's by now, or nobody's.
      if ((entry & kUsed) == 0)
        set[i].compare_exchange_strong(entry, entry | kUsed, std::memory_order_relaxed);
      return found;
    }
    return nullptr;
  }

  // The same for who goes through many pages once: the page is not kept any longer for it.
  [[nodiscard]] const std::byte* peek(uint64_t page) noexcept {
    std::atomic<uint64_t>* const set = set_of(page);
    for (size_t i = 0; i < kWays; i++) {
      const uint64_t entry = set[i].load(std::memory_order_seq_cst);
      if (entry >> kPageShift == page && entry != 0) return frame_bytes(frame_of(entry));
    }
    return nullptr;
  }
  // Nobody will ask for this page any more but who asks already: it goes before all others.
  void age(uint64_t page) noexcept {
    std::atomic<uint64_t>* const set = set_of(page);
    for (size_t i = 0; i < kWays; i++) {
      uint64_t entry = set[i].load(std::memory_order_relaxed);
      if (entry >> kPageShift == page && (entry & kUsed) != 0)
        set[i].compare_exchange_strong(entry, entry & ~kUsed, std::memory_order_relaxed);
    }
  }

  [[nodiscard]] std::byte* frame_bytes(uint32_t frame) noexcept {
    return memory_.bytes().data() + size_t{frame} * kPageBytes;
  }
  [[nodiscard]] size_t frames() const { return frames_; }

 private:
  static constexpr size_t kWays = 8;
  static constexpr unsigned kFrameBits = 24;
  static constexpr unsigned kPageShift = kFrameBits + 1;
  static constexpr uint64_t kUsed = uint64_t{1} << kFrameBits;
  static_assert(kPageShift <= 25);  // 39 bits of page number: 2 PiB

  PageCache(Epochs& epochs, LargeMemory memory, LargeMemory table, size_t frames, size_t sets)
      : epochs_(epochs),
        memory_(std::move(memory)),
        frames_(frames),
        sets_(sets),
        table_(std::move(table)) {}

  [[nodiscard]] static uint32_t frame_of(uint64_t entry) {
    return static_cast<uint32_t>(entry & (kUsed - 1));
  }
  [[nodiscard]] std::atomic<uint64_t>* slots() const noexcept {
    return reinterpret_cast<std::atomic<uint64_t>*>(table_.bytes().data());
  }
  [[nodiscard]] std::atomic<uint64_t>* set_of(uint64_t page) noexcept {
    // Fibonacci hashing; the sets are a power of two.
    const uint64_t mixed = page * 0x9e3779b97f4a7c15 >> 32;
    return slots() + (mixed & (sets_ - 1)) * kWays;
  }

  Epochs& epochs_;
  const LargeMemory memory_;
  const size_t frames_;
  const size_t sets_;
  const LargeMemory table_;       // of entries
  std::atomic<size_t> fresh_{0};  // frames that were never used begin here
  std::atomic<size_t> hand_{0};   // the set that is looked at next for something to give up
};

// One thread's frames. Gives back nothing: what it holds when it goes is handed to `heir`.
class PageCache::Supply {
 public:
  explicit Supply(PageCache& cache) : cache_(cache) {}
  ~Supply();
  Supply(const Supply&) = delete;
  Supply& operator=(const Supply&) = delete;

  // kNoFrame: none for now. Allowed within a read.
  uint32_t take() noexcept;
  void give_back(uint32_t frame) { free_.push_back(frame); }
  // Makes what is in `frame` visible as `page` and takes away what was there before under that
  // number. The frame is the cache's from now on. `used`: as if somebody had asked for it.
  void publish(uint64_t page, uint32_t frame, bool used = false) noexcept;
  // The page's content is no longer what it was.
  void forget(uint64_t page) noexcept;

 private:
  struct Retired {
    uint32_t frame;
    uint64_t epoch;
  };
  static constexpr size_t kLot = 32;

  void collect() noexcept;
  void evict() noexcept;
  bool give_up_one(std::atomic<uint64_t>& slot, bool even_if_used) noexcept;
  void retire(uint32_t frame) noexcept { leaving_.push_back(frame); }
  void seal() noexcept;

  PageCache& cache_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> leaving_;  // out of view, not yet stamped with an epoch
  std::deque<Retired> retired_;
};

}  // namespace splitring::kv
