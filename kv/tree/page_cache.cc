#include "kv/tree/page_cache.h"

#include <algorithm>
#include <bit>

namespace splitring::kv {

Result<std::unique_ptr<PageCache>> PageCache::create(size_t bytes, Epochs& epochs) {
  constexpr size_t kMostFrames = (size_t{1} << kFrameBits) - 1;
  const size_t frames = std::clamp(bytes, kLeastBytes, kMostFrames * kPageBytes) / kPageBytes;
  LargeMemory memory = TRY(LargeMemory::reserve(frames * kPageBytes));
  // Twice as many slots as frames: a set is full before the frames are gone once in thousands.
  const size_t sets = std::bit_ceil(2 * frames / kWays);
  LargeMemory table = TRY(LargeMemory::reserve(sets * kWays * sizeof(uint64_t)));
  return std::unique_ptr<PageCache>(
      new PageCache(epochs, std::move(memory), std::move(table), frames, sets));
}

// A handful of frames a thread is lost to the cache when the thread leaves it, unless they are put
// where another will find them: as pages that nobody asks for and the hand takes first.
PageCache::Supply::~Supply() {
  for (const Retired& retired : retired_) free_.push_back(retired.frame);
  free_.insert(free_.end(), leaving_.begin(), leaving_.end());
  size_t set = cache_.hand_.load(std::memory_order_relaxed);
  for (const uint32_t frame : free_) {
    // No page has this number.
    constexpr uint64_t kNoPage = (uint64_t{1} << (64 - kPageShift)) - 1;
    for (size_t tries = 0; tries < cache_.sets_ * kWays; tries++) {
      auto& slot = cache_.slots()[set++ % (cache_.sets_ * kWays)];
      uint64_t empty = 0;
      if (slot.compare_exchange_strong(empty, kNoPage << kPageShift | frame)) break;
    }
  }
}

void PageCache::Supply::seal() noexcept {
  if (leaving_.empty()) return;
  const uint64_t epoch = cache_.epochs_.retire();
  for (const uint32_t frame : leaving_) retired_.push_back({frame, epoch});
  leaving_.clear();
}

void PageCache::Supply::collect() noexcept {
  seal();
  if (retired_.empty()) return;
  const uint64_t oldest = cache_.epochs_.oldest_read();
  while (!retired_.empty() && retired_.front().epoch < oldest) {
    free_.push_back(retired_.front().frame);
    retired_.pop_front();
  }
}

bool PageCache::Supply::give_up_one(std::atomic<uint64_t>& slot, bool even_if_used) noexcept {
  uint64_t entry = slot.load(std::memory_order_relaxed);
  if (entry == 0) return false;
  if ((entry & kUsed) != 0 && !even_if_used) {
    slot.fetch_and(~kUsed, std::memory_order_relaxed);
    return false;
  }
  if (!slot.compare_exchange_strong(entry, 0, std::memory_order_acq_rel)) return false;
  retire(frame_of(entry));
  return true;
}

// The clock: what was used since it came by last gets another round.
void PageCache::Supply::evict() noexcept {
  size_t got = 0;
  for (size_t turn = 0; turn < 2 * cache_.sets_ && got < kLot; turn++) {
    const size_t set = cache_.hand_.fetch_add(1, std::memory_order_relaxed) & (cache_.sets_ - 1);
    for (size_t i = 0; i < kWays; i++)
      got += give_up_one(cache_.slots()[set * kWays + i], false) ? 1 : 0;
  }
  seal();
}

uint32_t PageCache::Supply::take() noexcept {
  if (free_.empty()) collect();
  if (free_.empty()) {
    const size_t first = cache_.fresh_.load(std::memory_order_relaxed) < cache_.frames_
                             ? cache_.fresh_.fetch_add(kLot, std::memory_order_relaxed)
                             : cache_.frames_;
    for (size_t i = first; i < std::min(first + kLot, cache_.frames_); i++)
      free_.push_back(static_cast<uint32_t>(i));
  }
  // What is evicted now helps the reads after this one; keep some coming.
  if (free_.size() < kLot / 2 && retired_.size() < 4 * kLot &&
      cache_.fresh_.load(std::memory_order_relaxed) >= cache_.frames_) {
    evict();
    collect();  // at once, if nobody reads at the moment
  }
  if (free_.empty()) return kNoFrame;
  const uint32_t frame = free_.back();
  free_.pop_back();
  return frame;
}

void PageCache::Supply::forget(uint64_t page) noexcept {
  std::atomic<uint64_t>* const set = cache_.set_of(page);
  for (size_t i = 0; i < kWays; i++) {
    uint64_t entry = set[i].load(std::memory_order_acquire);
    while (entry != 0 && entry >> kPageShift == page) {
      if (!set[i].compare_exchange_weak(entry, 0, std::memory_order_acq_rel)) continue;
      retire(frame_of(entry));
      break;
    }
  }
}

void PageCache::Supply::publish(uint64_t page, uint32_t frame, bool used) noexcept {
  forget(page);
  std::atomic<uint64_t>* const set = cache_.set_of(page);
  const uint64_t entry = page << kPageShift | (used ? kUsed : 0) | frame;
  for (size_t i = 0; i < kWays; i++) {
    uint64_t empty = 0;
    if (set[i].compare_exchange_strong(empty, entry, std::memory_order_acq_rel)) return;
  }
  for (size_t round = 0; round < 2; round++) {
    for (size_t i = 0; i < kWays; i++) {
      const size_t way = (i + frame) % kWays;  // not always the same victim
      if (!give_up_one(set[way], round == 1)) continue;
      uint64_t empty = 0;
      if (set[way].compare_exchange_strong(empty, entry, std::memory_order_acq_rel)) return;
    }
  }
  retire(frame);  // others were faster eight times: go without
}

}  // namespace splitring::kv
