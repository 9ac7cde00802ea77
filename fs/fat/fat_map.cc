#include "fs/fat/fat_map.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace splitring {
namespace {

constexpr uint32_t kBitsPerWord = 64;

}  // namespace

void FatMap::forget_free() {
  free_.assign(size_t{end()} / kBitsPerWord + 1, 0);
  free_count_ = 0;
}

void FatMap::set_free(uint32_t cluster, bool free) {
  uint64_t& word = free_[cluster / kBitsPerWord];
  const uint64_t bit = uint64_t{1} << cluster % kBitsPerWord;
  // Files of a damaged volume may share a cluster, and give it up twice.
  if (((word & bit) != 0) == free) return;
  word ^= bit;
  free ? free_count_++ : free_count_--;
}

bool FatMap::is_free(uint32_t cluster) const {
  return (free_[cluster / kBitsPerWord] >> cluster % kBitsPerWord & 1) != 0;
}

// How many clusters from `first` on are free, up to `most`.
uint32_t FatMap::free_row(uint32_t first, uint32_t most) const {
  uint32_t count = 0;
  while (count < most && first + count < end()) {
    const uint32_t at = first + count;
    const uint64_t word = free_[at / kBitsPerWord] >> at % kBitsPerWord;
    const auto ones = static_cast<uint32_t>(std::countr_one(word));
    count += ones;
    if (ones < kBitsPerWord - at % kBitsPerWord) break;
  }
  return std::min({count, most, end() - first});
}

// The first free cluster at or behind `from`; end() if there is none.
uint32_t FatMap::next_free(uint32_t from) const {
  while (from < end()) {
    const uint64_t word = free_[from / kBitsPerWord] >> from % kBitsPerWord;
    if (word != 0) return std::min(end(), from + static_cast<uint32_t>(std::countr_zero(word)));
    from = (from / kBitsPerWord + 1) * kBitsPerWord;
  }
  return end();
}

// The first row of `wanted` clusters that starts in [from, until), or the longest of those and
// best.
FatRun FatMap::search(uint32_t from, uint32_t until, uint32_t wanted, FatRun best) const {
  for (uint32_t at = next_free(from); at < until; at = next_free(at)) {
    const FatRun row{at, free_row(at, wanted)};
    if (row.count > best.count) best = row;
    if (row.count == wanted) break;
    at += row.count;
  }
  return best;
}

FatRun FatMap::take(uint32_t wanted, uint32_t after, bool whole_entries) {
  FatRun run;
  if (wanted == 0 || free_count_ == 0) return run;
  if (after != 0 && after + 1 < end() && is_free(after + 1))
    run = {after + 1, free_row(after + 1, wanted)};
  if (run.count == 0) {
    run = search(next_, end(), wanted, run);
    if (run.count < wanted) run = search(2, next_, wanted, run);
  }
  if (whole_entries) {
    while (run.first < end() && !has_whole_entry(run.first)) run.first = next_free(run.first + 1);
    if (run.first >= end()) return {};
    run.count = 1;
  }
  for (uint32_t i = 0; i < run.count; i++) set_free(run.first + i, false);
  next_ = run.first + run.count < end() ? run.first + run.count : 2;
  return run;
}

void FatMap::release(FatRun run) {
  for (uint32_t i = 0; i < run.count; i++) set_free(run.first + i, true);
  next_ = std::min(next_, run.first);
}

Result<> FatMap::chain_up(BlockQueue& lane, const std::vector<FatRun>& runs) {
  uint32_t tail = 0;
  for (const FatRun& run : runs) {
    TRY_VOID(link(lane, tail, run));
    tail = run.first + run.count - 1;
  }
  return {};
}

void FatMap::free_later(FatRun run) {
  if (run.count == 0) return;
  pending_.push_back(run);
  pending_count_ += run.count;
}

const std::vector<FatRun>& FatMap::take_pending() {
  applied_ = std::exchange(pending_, {});
  return applied_;
}

std::vector<FatRun> FatMap::finish_frees() {
  for (const FatRun& run : applied_) {
    release(run);
    pending_count_ -= run.count;
  }
  return std::exchange(applied_, {});
}

}  // namespace splitring
