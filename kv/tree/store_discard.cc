// Giving space back to the disk (store.h): pages that a durable generation freed and that nobody
// looks at any more.
//
// Which those are is the space map's to say (space_map.h): what is still named by the generation on
// the disk, by a snapshot or by a reader is not free. The pages are reserved while the disk forgets
// them, so nobody writes to them meanwhile. What is discarded is not remembered on the disk: a
// store that was opened knows of what was freed since; trim() looks at all free space.
#include <algorithm>

#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

// A shorter run costs the disk more than it gives, and is what the next checkpoint fills.
constexpr uint64_t kLeastPages = 8;
constexpr uint64_t kMostPages = (uint64_t{32} << 20) / kPageBytes;

}  // namespace

Result<> TreeStore::discard_run(PageRun run, BlockQueue& lane) {
  const Result<> done =
      lane.discard(sector_of_page(run.first), Sectors{run.count * kSectorsOfPage});
  space_->give_back(run, done ? SpaceMap::Content::kDiscarded : SpaceMap::Content::kWritten);
  if (done) discarded_.fetch_add(run.count, std::memory_order_relaxed);
  return done;
}

void TreeStore::discard_freed(BlockQueue& lane, uint64_t keep) {
  if (!can_discard_.load(std::memory_order_relaxed)) return;
  space_->collect();
  const uint64_t least =
      std::max<uint64_t>(kLeastPages, device_.geometry().discard_granularity_bytes / kPageBytes);
  while (space_->stale_pages() > keep) {
    const auto run = space_->reserve_stale(least, kMostPages);
    if (!run) return;
    // It is a favour to the disk: one that refuses it is not asked again.
    if (!discard_run(*run, lane)) return can_discard_.store(false, std::memory_order_relaxed);
  }
}

Result<uint64_t> TreeStore::trim() {
  if (!can_discard_.load(std::memory_order_relaxed))
    return fail(Errc::kUnsupported, "this disk, as it was opened, takes no discard");
  const auto session = TRY(this->session());
  TRY_VOID(session->checkpoint());  // which frees what was removed
  const std::lock_guard lock(checkpoint_mutex_);
  space_->collect();
  // Whoever commits meanwhile finds most of the free space.
  const uint64_t most = std::clamp<uint64_t>(space_->free_pages() / 4, 1, kMostPages);
  uint64_t pages = 0;
  for (uint64_t from = 0;;) {
    const auto run = TRY(space_->reserve_free(from, most, *session->lane_));
    if (!run) return pages;
    TRY_VOID(discard_run(*run, *session->lane_));
    pages += run->count;
    from = run->first + run->count;
  }
}

}  // namespace splitring::kv
