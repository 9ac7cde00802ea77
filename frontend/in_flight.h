// What a lane has put in its ring and has not been answered: private memory, the only place where
// it is remembered (F9). A response names an entry by an id that holds its index and how many times
// the entry has been used, so that an answer given twice, or to nothing, is noticed (F3 to F5).
//
// One owner thread; no allocation after construction.
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "blkimage/block_device.h"
#include "frontend/granted_pool.h"

namespace splitring::frontend {

struct RingRequest {
  BlockRequest* owner = nullptr;  // nullptr: this entry is free
  uint32_t uses = 0;
  uint32_t next_free = 0;
  uint8_t operation = 0;  // that the response has to carry; of an indirect request: the inner one
  uint32_t descriptor = kNoPage;
  uint32_t first_bounce = kNoPage;  // a chain through GrantedPool::next, in the order of the data
  // Where its data begins in the owner's buffers, and how much there is.
  uint32_t buffer_index = 0;
  size_t buffer_offset = 0;
  uint32_t byte_count = 0;
  uint32_t zero_pages = 0;  // segments of a write-zeroes: each names the pool's page of zeroes
};

class InFlight {
 public:
  explicit InFlight(uint32_t entries) : entries_(entries) {
    for (uint32_t i = 0; i < entries; i++) entries_[i].next_free = i + 1;
  }

  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] bool full() const { return count_ == entries_.size(); }

  // Precondition: not full.
  RingRequest& take(BlockRequest& owner) {
    assert(!full());
    RingRequest& entry = entries_[first_free_];
    first_free_ = entry.next_free;
    entry.owner = &owner;
    entry.uses++;
    count_++;
    return entry;
  }
  [[nodiscard]] uint64_t id(const RingRequest& entry) const {
    return uint64_t{entry.uses} << 32 | static_cast<uint64_t>(&entry - entries_.data());
  }
  // nullptr: no such request is in flight. `id` is the peer's word.
  [[nodiscard]] RingRequest* find(uint64_t id) {
    const uint64_t index = id & UINT32_MAX;
    if (index >= entries_.size()) return nullptr;
    RingRequest& entry = entries_[index];
    return entry.owner != nullptr && entry.uses == id >> 32 ? &entry : nullptr;
  }
  // Precondition: entry is taken.
  void give(RingRequest& entry) {
    entry.owner = nullptr;
    entry.next_free = first_free_;
    first_free_ = static_cast<uint32_t>(&entry - entries_.data());
    count_--;
  }

  // Calls `each` for every entry taken; it may give that entry back.
  template <class Each>
  void for_each(Each&& each) {
    for (RingRequest& entry : entries_)
      if (entry.owner != nullptr) each(entry);
  }

 private:
  std::vector<RingRequest> entries_;
  uint32_t first_free_ = 0;
  uint32_t count_ = 0;
};

}  // namespace splitring::frontend
