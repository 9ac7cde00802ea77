#include "kv/tree/check.h"

#include <algorithm>

#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

std::string page_text(uint64_t page) { return "page " + std::to_string(page); }

}  // namespace

StoreCheck::StoreCheck(TreeStore& store, Session& session)
    : store_(store), session_(session), used_(store.layout_.pages) {}

void StoreCheck::problem(std::string text) {
  report_.problem_count++;
  if (report_.problems.size() < kMostProblems) report_.problems.push_back(std::move(text));
}

Result<CheckReport> StoreCheck::run(TreeStore& store, Session& session) {
  StoreCheck check(store, session);
  const std::lock_guard lock(store.checkpoint_mutex_);
  const State& state = *store.state_.load(std::memory_order_acquire);  // replaced under that lock
  TRY_VOID(check.superblocks(state.generation));
  TRY_VOID(check.tree(state.catalogue, "the catalogue"));
  for (const Branch& branch : state.branches)
    TRY_VOID(check.tree(branch.root, "branch \"" + branch.name + '"'));
  for (const SnapshotRecord& snapshot : state.snapshots)
    TRY_VOID(check.tree(snapshot.root, "snapshot \"" + snapshot.name + '"'));
  TRY_VOID(check.space_map());
  for (const auto& memtable : {state.frozen, state.active})
    if (memtable != nullptr) TRY_VOID(check.memory(*memtable));
  return std::move(check.report_);
}

Result<> StoreCheck::superblocks(uint64_t generation) {
  const uint64_t pages = store_.layout_.pages;
  const auto memory = TRY(LaneMemory::allocate(session_.reader_.lane(), kPageBytes));
  for (const uint64_t page : {uint64_t{0}, uint64_t{1}, pages - 2, pages - 1}) {
    DiskSuperblock super;
    if (const auto read = session_.reader_.lane().read(sector_of_page(page), memory.bytes());
        !read) {
      problem("superblock at " + page_text(page) + ": " + read.error().what);
      continue;
    }
    std::memcpy(&super, memory.bytes().data(), sizeof super);
    const Hash hash =
        hash_of(std::as_bytes(std::span(&super, 1)).first(offsetof(DiskSuperblock, hash_low)));
    const uint64_t odd = page < 2 ? page : page - (pages - 2);
    const uint64_t expected = generation % 2 == odd ? generation : generation - 1;
    if (super.magic != kSuperMagic || hash != Hash{super.hash_low, super.hash_high})
      problem("superblock at " + page_text(page) + " is not what was written there");
    else if (super.generation != expected)
      problem("superblock at " + page_text(page) + " is of generation " +
              std::to_string(super.generation) + ", not " + std::to_string(expected));
  }
  return {};
}

bool StoreCheck::use(uint64_t first, uint64_t count, const std::string& what) {
  const auto& layout = store_.layout_;
  if (first < layout.data_first || !in_range(first, count, layout.data_end)) {
    problem(what + " lies outside the data area");
    return false;
  }
  for (uint64_t page = first; page < first + count; page++) {
    if (used_[page]) problem(page_text(page) + " is in use twice, also as " + what);
    used_[page] = true;
  }
  return true;
}

Result<> StoreCheck::tree(const Root& root, const std::string& whose) {
  whose_ = whose;
  if (!root.pointer) return {};
  return page(root.pointer, root.level, {}, nullptr);
}

Result<> StoreCheck::page(const Pointer& pointer, unsigned level, std::string_view from,
                          const std::string* to) {
  const std::string name = page_text(pointer.page) + " of " + whose_;
  // Of one that a snapshot has too, or that is named where it does not belong, only the keys.
  const bool is_new = seen_trees_.insert(pointer.page).second;
  if (is_new && !use(pointer.page, 1, name)) return {};
  const auto memory = TRY(LaneMemory::allocate(session_.reader_.lane(), kPageBytes));
  const std::byte* const bytes = memory.bytes().data();
  if (const auto read = session_.reader_.lane().read(sector_of_page(pointer.page), memory.bytes());
      !read) {
    problem(name + ": " + read.error().what);
    return {};
  }
  if (hash_of(memory.bytes()) != pointer.hash) {
    problem(name + " is not what was written there in generation " + std::to_string(pointer.birth));
    return {};
  }
  if (const auto good = PageView::check(bytes, pointer.page, level, store_.layout_.pages); !good) {
    problem(good.error().what + ", in " + whose_);
    return {};
  }
  const PageView view(bytes);
  std::string first;
  std::string last;
  view.copy_key(0, first);
  view.copy_key(view.count() - 1, last);
  if (first < from || (to != nullptr && last >= *to))
    problem(name + " has keys that its parent does not lead to");
  if (!is_new) return {};
  return level == 0 ? leaf_page(bytes) : inner_page(bytes, level, from, to);
}

Result<> StoreCheck::inner_page(const std::byte* bytes, unsigned level, std::string_view from,
                                const std::string* to) {
  report_.inner_pages++;
  const PageView view(bytes);
  std::string low(from);
  std::string high;
  for (size_t i = 0; i < view.count(); i++) {
    const bool is_last = i + 1 == view.count();
    if (!is_last) view.copy_key(i + 1, high);
    TRY_VOID(page(view.child(i), level - 1, low, is_last ? to : &high));
    low = high;
  }
  return {};
}

Result<> StoreCheck::leaf_page(const std::byte* bytes) {
  report_.leaf_pages++;
  const PageView view(bytes);
  const bool catalogue = whose_ == "the catalogue";
  std::string key;
  for (size_t i = 0; i < view.count(); i++) {
    view.copy_key(i, key);
    if (key.size() < kTreeBytes) {
      problem("a key in " + whose_ + " is too short");
      continue;
    }
    if (load_be32(key) == kSegmentTree) {
      TRY_VOID(segment(key, view.payload(i)));
      continue;
    }
    // What an entry of the catalogue or a tree's name is kept under is no key of a user's.
    if (!catalogue && load_be32(key) >= kFirstTree) report_.keys++;
    if (!catalogue && !Payload::parse(view.payload(i)))
      problem("what is stored under a key of " + whose_ + " is malformed");
  }
  return {};
}

Result<> StoreCheck::segment(std::string_view key, Bytes payload) {
  const auto segment = Segment::parse(payload, store_.layout_.pages);
  if (!segment || key.size() != kTreeBytes + kSegmentKeyBytes) {
    problem("a segment of a value of " + whose_ + " is malformed");
    return {};
  }
  if (!seen_segments_.insert(segment->page).second) return {};
  const std::string name = "segment at " + page_text(segment->page) + " of value " +
                           std::to_string(number_of_segment_key(key.substr(kTreeBytes))) + " of " +
                           whose_;
  if (!use(segment->page, segment->pages(), name)) return {};
  report_.value_pages += segment->pages();
  const auto memory =
      TRY(LaneMemory::allocate(session_.reader_.lane(), segment->pages() * kPageBytes));
  const auto read = session_.reader_.lane().read(sector_of_page(segment->page), memory.bytes());
  if (!read)
    problem(name + ": " + read.error().what);
  else if (hash_of(memory.bytes().first(segment->bytes)) != segment->hash)
    problem(name + " is not what was written there");
  return {};
}

Result<> StoreCheck::space_map() {
  const auto& layout = store_.layout_;
  for (uint64_t region = 0; region < store_.space_->regions(); region++) {
    const auto bits = store_.space_->used_bits(region, session_.reader_.lane());
    if (!bits) {
      problem(bits.error().what);
      continue;
    }
    const uint64_t first = region * SpaceMap::kRegionPages;
    for (uint64_t i = 0; i < SpaceMap::kRegionPages && first + i < layout.pages; i++) {
      const bool marked = ((*bits)[i / 64] >> (i % 64) & 1) != 0;
      if (marked == used_[first + i]) continue;
      problem(page_text(first + i) + (marked ? " is marked as used, and nothing uses it"
                                             : " is in use, and marked as free"));
    }
  }
  return {};
}

// What was committed since the last checkpoint.
Result<> StoreCheck::memory(const Memtable& memtable) {
  whose_ = "the ring";
  const uint64_t visible = memtable.visible.load(std::memory_order_acquire);
  for (const Memtable::Node* node = memtable.lower_bound({}); node != nullptr;
       node = node->next()) {
    const Memtable::Version* const version = node->at(visible);
    if (version == nullptr) continue;
    const std::string_view key = node->key().substr(kBranchBytes);
    if (load_be32(key) != kSegmentTree)
      report_.ring_keys++;
    else if (version->kind == ChangeKind::kPut)
      TRY_VOID(segment(key, version->payload()));
  }
  return {};
}

}  // namespace splitring::kv
