#include "fs/fat/fat_chain.h"

#include <algorithm>
#include <cassert>

namespace splitring {

FatChain FatChain::follow(const FatTable& table, const FatGeometry& geometry, uint32_t first,
                          uint64_t most) {
  FatChain chain;
  uint32_t cluster = first;
  while (chain.count_ < most) {
    if (!geometry.is_cluster(cluster)) {
      chain.fault_ = cluster == kFatBad ? "leads into a bad cluster"
                     : cluster < 2      ? "leads to a free cluster"
                                        : "leads out of the volume";
      return chain;
    }
    if (chain.count_ >= geometry.clusters) {
      chain.fault_ = "never ends";
      return chain;
    }
    const uint32_t next = table.next(cluster);
    if (next == kFatFree) {
      chain.fault_ = "leads to a free cluster";
      return chain;
    }
    chain.append({cluster, 1});
    if (next == kFatEnd) return chain;
    cluster = next;
  }
  return chain;
}

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
