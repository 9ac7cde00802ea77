// How full a store may become (store.h): so full that everything committed still gets into the
// trees, and that what gives space back still can.
//
// A checkpoint writes new pages before it frees old ones. Transactions go to the ring only while
// the free pages are enough for a checkpoint of all that is in memory, at the worst; else each is
// carried into the trees at once, and refused if that takes more than there is. Besides, some pages
// are in reserve: what grows leaves all of the reserve, what only removes leaves half of it, the
// removal of snapshots and branches may take what there is.
//
// The worst follows from the number of changes and the shape of the trees: a change touches a leaf,
// and one of segments if it ends a long value. Leaves that are packed anew never take more pages
// than they were (page_division.h); each may take in a neighbour, and a key that comes in may part
// one in three. And no more can be written than every page anew, each parted by what came in, and
// what came in.
#include <algorithm>

#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

constexpr uint64_t kLeastReserve = 24;
constexpr uint64_t kPagesOfChange = 5;  // leaves
constexpr uint64_t kPagesOfTouched = 3;
constexpr uint64_t kPagesOfRewritten = 2;
constexpr uint64_t kPagesOfByte = 3;  // of 4096 new ones
constexpr uint64_t kMostChildren =    // of a page, whatever their keys
    (kPageBytes - sizeof(DiskPageHeader)) / (kSlotBytes + sizeof(DiskPointer));
constexpr uint64_t kEntriesOfEdit = 4;  // of the catalogue that change, besides branches

// On `levels` levels below the roots of so many trees, and the roots.
uint64_t inner_pages(uint64_t touched, uint64_t trees, uint64_t levels) {
  uint64_t sum = 0;
  uint64_t width = trees;
  for (uint64_t level = 0; level < levels; level++) {
    sum += std::min(touched, width);
    if (width < touched) width *= kMostChildren;
  }
  return kPagesOfTouched * sum;
}

}  // namespace

uint64_t TreeStore::reserve_pages(Use use) const {
  const uint64_t reserve = std::max(kLeastReserve, space_->data_pages() / 32);
  return use == Use::kGrow ? reserve : use == Use::kShrink ? reserve / 2 : 0;
}

// What checkpoints of all that is in memory may need.
uint64_t TreeStore::pages_to_carry(const State& state) const {
  uint64_t changes = state.active->keys();
  uint64_t bytes = state.active->bytes();
  if (state.frozen != nullptr) {
    changes += state.frozen->keys();
    bytes += state.frozen->bytes();
  }
  uint64_t levels = 1;
  for (const Branch& branch : state.branches)
    levels = std::max<uint64_t>(levels, branch.root.level + 1);
  const uint64_t entries = std::min<uint64_t>(state.branches.size(), changes) + kEntriesOfEdit;
  const uint64_t by_changes =
      kPagesOfChange * changes + inner_pages(2 * changes, state.branches.size(), levels);
  const uint64_t used = space_->data_pages() - space_->free_pages();
  const uint64_t by_trees = kPagesOfRewritten * used + kPagesOfByte * bytes / kPageBytes;
  return std::min(by_changes, by_trees) + kPagesOfTouched * (entries + state.catalogue.level);
}

// From values that are written before their transaction. Returns what checkpoints may need.
// Precondition: the writer's lock.
uint64_t TreeStore::withhold_space() {
  const uint64_t needed = pages_to_carry(*state_.load(std::memory_order_acquire));
  // They are gone again before they could be in the way for ever: not more than a part is withheld.
  space_->withhold(std::min(needed, space_->data_pages() / 8) + reserve_pages(Use::kGrow));
  return needed;
}

bool TreeStore::is_low() const { return space_->spare_pages() < kSegmentBytes / kPageBytes; }

// Whether the pages that checkpoints may need could be missing. Precondition: the writer's lock.
bool TreeStore::is_tight(Use use) {
  const uint64_t needed = withhold_space();
  if (space_->free_pages() >= needed + reserve_pages(use)) return false;
  space_->collect();
  return space_->free_pages() < needed + reserve_pages(use);
}

}  // namespace splitring::kv
