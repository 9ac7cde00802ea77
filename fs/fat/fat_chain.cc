#include "fs/fat/fat_chain.h"

#include <algorithm>
#include <cassert>

namespace splitring {

FatRun FatChain::at(uint64_t index) const {
  assert(index < count_);
  const auto after = std::ranges::upper_bound(starts_, index);
  const auto run = static_cast<size_t>(after - starts_.begin()) - 1;
  const auto skipped = static_cast<uint32_t>(index - starts_[run]);
  return {runs_[run].first + skipped, runs_[run].count - skipped};
}

void FatChain::append(FatRun run) {
  if (!runs_.empty() && runs_.back().first + runs_.back().count == run.first) {
    runs_.back().count += run.count;
  } else {
    runs_.push_back(run);
    starts_.push_back(count_);
  }
  count_ += run.count;
}

std::vector<FatRun> FatChain::cut(uint64_t count) {
  std::vector<FatRun> freed;
  while (count_ > count) {
    FatRun& last = runs_.back();
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(last.count, count_ - count));
    last.count -= part;
    count_ -= part;
    freed.push_back({last.first + last.count, part});
    if (last.count == 0) {
      runs_.pop_back();
      starts_.pop_back();
    }
  }
  std::ranges::reverse(freed);
  return freed;
}

}  // namespace splitring
