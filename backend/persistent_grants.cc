#include "backend/persistent_grants.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace splitring::backend {

PersistentGrants::PersistentGrants(GrantTable& table, DomId peer, uint32_t capacity,
                                   RingCounters& counters)
    : table_(table),
      peer_(peer),
      capacity_(capacity),
      counters_(counters),
      chunks_(capacity),
      entries_(std::bit_ceil(size_t{capacity} * 2)) {
  assert(capacity >= 1 && capacity <= 32768);
  missing_.reserve(capacity);
  for (size_t i = 0; i < chunks_.size(); i++)
    chunks_[i].next = i + 1 < chunks_.size() ? static_cast<ChunkIndex>(i + 1) : kNone;
  free_ = 0;
}

size_t PersistentGrants::home(GrantRef ref) const {
  // Fibonacci hashing: refs are small consecutive numbers or whatever a hostile peer makes up.
  return static_cast<size_t>((raw(ref) * uint64_t{0x9E3779B97F4A7C15}) >> 32) &
         (entries_.size() - 1);
}

const PersistentGrants::Entry* PersistentGrants::find(GrantRef ref) const {
  for (size_t i = home(ref);; i = (i + 1) & (entries_.size() - 1)) {
    const Entry& entry = entries_[i];
    if (entry.chunk == kNone) return nullptr;
    if (entry.ref == ref) return &entry;
  }
}

void PersistentGrants::insert(GrantRef ref, ChunkIndex chunk, uint16_t page) {
  size_t i = home(ref);
  while (entries_[i].chunk != kNone) i = (i + 1) & (entries_.size() - 1);
  entries_[i] = {ref, chunk, page};
}

void PersistentGrants::erase(GrantRef ref) {
  const size_t mask = entries_.size() - 1;
  const Entry* entry = find(ref);
  assert(entry != nullptr);
  auto hole = static_cast<size_t>(entry - entries_.data());
  // Moves later entries of the run back, so that no probe stops at the hole too early.
  for (size_t i = (hole + 1) & mask; entries_[i].chunk != kNone; i = (i + 1) & mask) {
    const size_t wanted = home(entries_[i].ref);
    if (((i - wanted) & mask) >= ((i - hole) & mask)) {
      entries_[hole] = entries_[i];
      hole = i;
    }
  }
  entries_[hole].chunk = kNone;
}

bool PersistentGrants::acquire(std::span<const GrantRef> refs, std::span<Page> pages) {
  // Holds what is there first, so that making room for the rest cannot evict it.
  bool all_found = true;
  for (size_t i = 0; i < refs.size(); i++) {
    const Entry* entry = find(refs[i]);
    if (entry == nullptr) {
      pages[i].bytes = nullptr;
      all_found = false;
      continue;
    }
    Chunk& chunk = chunks_[entry->chunk];
    pages[i] = {chunk.mapping.bytes().data() + size_t{entry->page} * kPageSize, entry->chunk};
    hold(entry->chunk);
    counters_.persistent_hits.add();
  }
  if (all_found) [[likely]]
    return true;
  missing_.clear();
  for (size_t i = 0; i < refs.size(); i++)
    if (pages[i].bytes == nullptr &&
        std::find(missing_.begin(), missing_.end(), refs[i]) == missing_.end())
      missing_.push_back(refs[i]);
  const bool mapped = map_missing(missing_);
  for (size_t i = 0; i < refs.size(); i++) {
    if (pages[i].bytes != nullptr) {
      if (!mapped) release(pages[i].chunk);
      continue;
    }
    if (!mapped) continue;
    const Entry* entry = find(refs[i]);
    Chunk& chunk = chunks_[entry->chunk];
    pages[i] = {chunk.mapping.bytes().data() + size_t{entry->page} * kPageSize, entry->chunk};
    hold(entry->chunk);
  }
  return mapped;
}

bool PersistentGrants::map_missing(std::span<const GrantRef> refs) {
  if (!make_room(static_cast<uint32_t>(refs.size()))) return false;
  auto mapping = table_.map(peer_, refs, Access::kReadWrite);
  if (!mapping) return false;
  assert(free_ != kNone);
  const ChunkIndex index = free_;
  Chunk& chunk = chunks_[index];
  free_ = chunk.next;
  chunk.mapping = std::move(*mapping);
  chunk.refs.assign(refs.begin(), refs.end());
  for (size_t i = 0; i < refs.size(); i++) insert(refs[i], index, static_cast<uint16_t>(i));
  append(index);
  mapped_pages_ += static_cast<uint32_t>(refs.size());
  counters_.persistent_misses.add(refs.size());
  return true;
}

bool PersistentGrants::make_room(uint32_t pages) {
  if (pages > capacity_) return false;
  ChunkIndex candidate = oldest_;
  while (mapped_pages_ + pages > capacity_) {
    if (candidate == kNone) return false;
    const ChunkIndex next = chunks_[candidate].next;
    if (chunks_[candidate].users == 0) evict(candidate);
    candidate = next;
  }
  return true;
}

void PersistentGrants::evict(ChunkIndex index) {
  Chunk& chunk = chunks_[index];
  for (const GrantRef ref : chunk.refs) erase(ref);
  mapped_pages_ -= static_cast<uint32_t>(chunk.refs.size());
  counters_.persistent_evictions.add(chunk.refs.size());
  chunk.mapping.reset();
  chunk.refs.clear();
  unlink(index);
  chunk.next = free_;
  free_ = index;
}

void PersistentGrants::hold(ChunkIndex index) {
  chunks_[index].users++;
  if (index == newest_) return;
  unlink(index);
  append(index);
}

void PersistentGrants::release(ChunkIndex index) {
  assert(chunks_[index].users != 0);
  chunks_[index].users--;
}

void PersistentGrants::unlink(ChunkIndex index) {
  Chunk& chunk = chunks_[index];
  (chunk.previous == kNone ? oldest_ : chunks_[chunk.previous].next) = chunk.next;
  (chunk.next == kNone ? newest_ : chunks_[chunk.next].previous) = chunk.previous;
}

void PersistentGrants::append(ChunkIndex index) {
  Chunk& chunk = chunks_[index];
  chunk.previous = newest_;
  chunk.next = kNone;
  (newest_ == kNone ? oldest_ : chunks_[newest_].next) = index;
  newest_ = index;
}

}  // namespace splitring::backend
