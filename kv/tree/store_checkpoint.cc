// Checkpoints (store.h): a memtable goes into the trees; then the ring before it may be written
// over.
//
// The order on the disk: new tree pages and what changed of the space map, all to places that the
// generation before does not use; a flush; the superblock, twice; a flush. A cut anywhere before
// the last leaves the generation before it whole, and its ring.
#include <algorithm>

#include "kv/tree/branch_merge.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {

void TreeStore::publish(const std::function<void(State& next)>& change) {
  const std::lock_guard lock(state_mutex_);
  const State* const old = state_.load(std::memory_order_relaxed);
  auto next = old == nullptr ? std::make_unique<State>() : std::make_unique<State>(*old);
  change(*next);
  state_.store(next.release(), std::memory_order_seq_cst);
  if (old != nullptr) retired_.push_back({epochs_.retire(), std::unique_ptr<const State>(old)});
  const uint64_t oldest = epochs_.oldest();
  while (!retired_.empty() && retired_.front().epoch < oldest) retired_.pop_front();
}

// Everything that has been committed, durable, in a memtable that nobody adds to. Precondition: the
// writer's and the checkpointer's locks.
Result<TreeStore::Cut> TreeStore::freeze(PageReader& reader) {
  TRY_VOID(wait_durable(last_sequence_, reader.lane()));
  Cut cut;
  cut.sequence = last_sequence_;
  {
    const std::lock_guard lock(log_mutex_);
    cut.ring = ring_.end();
    active_from_ = cut.ring.at;
    ring_is_long_.store(false, std::memory_order_relaxed);
    // Nothing waits to be published in the old one any more.
    state_.load(std::memory_order_acquire)->active->visible.store(last_sequence_);
  }
  publish([&](State& next) {
    cut.memtable = next.active;
    next.frozen = next.active;
    next.active = std::make_shared<Memtable>();
    next.active->visible.store(last_sequence_);
  });
  return cut;
}

// False: there was nothing. Precondition: the writer's lock, which is let go, and the
// checkpointer's.
Result<bool> TreeStore::carry_memory(std::unique_lock<BriefMutex>& writer, PageReader& reader,
                                     Epochs::Slot& slot, const Edit& edit, Use use) {
  // One that was given up goes first.
  if (state_.load(std::memory_order_acquire)->frozen) TRY_VOID(carry(stuck_, reader, nullptr));
  {
    const Pin pinned(epochs_, slot);
    if (state_.load(std::memory_order_acquire)->active->empty() && edit == nullptr) return false;
    stuck_ = TRY(freeze(reader));
  }
  writer.unlock();
  Cut cut = stuck_;
  cut.use = use;
  TRY_VOID(carry(cut, reader, edit));
  return true;
}

Result<> TreeStore::checkpoint(PageReader& reader, Epochs::Slot& slot, const Edit& edit, Use use) {
  TRY_VOID(failure());
  std::unique_lock writer(writer_mutex_);
  const std::lock_guard lock(checkpoint_mutex_);
  const auto carried = carry_memory(writer, reader, slot, edit, use);
  if (!carried) {
    const bool alone =
        carried.error().code == Errc::kNoSpace && edit != nullptr && use == Use::kRelease;
    if (!alone) return tl::make_unexpected(carried.error());
    // The trees and the ring stay as they are.
    const Cut nothing{.memtable = std::make_shared<Memtable>(),
                      .sequence = on_disk_.sequence,
                      .ring = on_disk_.ring};
    TRY_VOID(carry(nothing, reader, edit));
  } else if (!*carried) {
    return {};
  }
  const uint64_t above = discard_above_bytes_ / kPageBytes;
  discard_freed(reader.lane(), above == 0 ? 0 : above + checkpoint_needs_);
  return {};
}

// Precondition: the checkpointer's lock.
Result<> TreeStore::carry(const Cut& cut, PageReader& reader, const Edit& edit) {
  space_->rewind();
  State next = *state_.load(std::memory_order_acquire);  // only who holds that lock changes it
  const State before = next;
  next.generation++;
  PageWriter writer(reader.lane());
  TreeMerge merge(reader, writer, *space_, next.generation);
  for (BranchChanges& changes : changes_of(*cut.memtable, layout_.pages)) {
    const auto branch = std::ranges::find(next.branches, changes.branch, &Branch::number);
    if (branch == next.branches.end()) {
      // Removed while somebody wrote to it: in no tree, and nobody's any more.
      for (const PageRun& run : segments_of(changes, layout_.pages)) merge.free_value(run);
      continue;
    }
    branch->root = TRY(merge_branch(*branch, std::move(changes), reader, writer, merge));
  }
  if (edit != nullptr) {
    TRY_VOID(writer.finish());  // what it reads was just written
    TRY_VOID(edit(next, merge));
  }
  next.catalogue = TRY(merge_catalogue(before, next, merge));
  if (space_->free_pages() + merge.freed_pages() < reserve_pages(cut.use))
    return fail(Errc::kNoSpace, "the store is full: remove keys, snapshots or branches");
  if (Result<> written = writer.finish(); !written) {
    fail_store(written.error());
    return written;
  }
  const TreeMerge::Counts counts = merge.counts();
  Durable durable = on_disk_;
  durable.ring = cut.ring;
  durable.sequence = cut.sequence;
  durable.leaf_pages += counts.leaf_pages;
  durable.inner_pages += counts.inner_pages;
  durable.value_pages += counts.value_pages;
  const std::vector<PageRun> used = merge.take_used();
  std::vector<PageRun> freed = merge.take_freed();
  uint64_t needed = 0;
  for (const PageRun& run : used) needed += run.count;
  checkpoint_needs_ = std::max(needed, checkpoint_needs_ - checkpoint_needs_ / 4);
  const Result<> done = [&]() -> Result<> {
    durable.map_root = TRY(space_->write(used, freed, next.generation, reader.lane()));
    TRY_VOID(reader.lane().flush());
    return write_superblock(next, durable, reader.lane());
  }();
  if (!done) {
    fail_store(done.error());  // nobody knows which generation the disk has
    return done;
  }
  on_disk_ = durable;
  leaf_pages_ = durable.leaf_pages;
  inner_pages_ = durable.inner_pages;
  value_pages_ = durable.value_pages;
  publish([&](State& state) {
    state.generation = next.generation;
    state.catalogue = next.catalogue;
    state.branches = next.branches;
    state.snapshots = next.snapshots;
    state.last_branch = next.last_branch;
    if (state.frozen == cut.memtable) state.frozen = nullptr;
    if (state.active == cut.memtable) {
      state.active = std::make_shared<Memtable>();
      state.active->visible.store(cut.sequence);
    }
  });
  space_->rest(std::move(freed));
  const std::lock_guard lock(log_mutex_);
  ring_.forget_before(cut.ring.at);
  return {};
}

Result<> TreeStore::write_superblock(const State& state, const Durable& durable, BlockQueue& lane) {
  DiskSuperblock super;
  super.magic = kSuperMagic;
  super.version = kFormatVersion;
  super.page_bytes = kPageBytes;
  super.features.compatible = compatible_features_;
  super.store_id_low = id_low_;
  super.store_id_high = id_high_;
  super.generation = state.generation;
  super.pages = layout_.pages;
  super.ring_first = layout_.ring_first;
  super.ring_pages = layout_.ring_pages;
  super.map_first = layout_.map_first;
  super.map_pages = layout_.map_pages;
  super.data_first = layout_.data_first;
  super.ring_position = durable.ring.at;
  super.ring_hash_low = durable.ring.hash.low;
  super.ring_hash_high = durable.ring.hash.high;
  super.sequence = durable.sequence;
  super.catalogue.page = state.catalogue.pointer.page;
  super.catalogue.birth = state.catalogue.pointer.birth;
  super.catalogue.hash_low = state.catalogue.pointer.hash.low;
  super.catalogue.hash_high = state.catalogue.pointer.hash.high;
  super.catalogue_level = state.catalogue.level;
  super.map_root = durable.map_root;
  super.leaf_pages = static_cast<uint64_t>(durable.leaf_pages);
  super.inner_pages = static_cast<uint64_t>(durable.inner_pages);
  super.value_pages = static_cast<uint64_t>(durable.value_pages);
  const Hash hash =
      hash_of(std::as_bytes(std::span(&super, 1)).first(offsetof(DiskSuperblock, hash_low)));
  super.hash_low = hash.low;
  super.hash_high = hash.high;
  PageWriter writer(lane);
  const uint64_t odd = state.generation % 2;
  for (const uint64_t page : {odd, layout_.pages - 2 + odd}) {
    std::byte* const at = TRY(writer.place(page));
    std::memset(at, 0, kPageBytes);
    std::memcpy(at, &super, sizeof super);
  }
  TRY_VOID(writer.finish());
  return lane.flush();
}

Result<> TreeStore::wake_thread() {
  {
    const std::lock_guard lock(thread_mutex_);
    thread_wanted_ = true;
  }
  thread_wakes_.notify_one();
  return {};
}

void TreeStore::watch_for_idleness() {
  if (thread_watches_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(thread_mutex_);
    thread_watches_.store(true, std::memory_order_relaxed);
  }
  thread_wakes_.notify_one();
}

bool TreeStore::await_work(std::unique_lock<std::mutex>& lock) {
  uint64_t seen = durable_.load(std::memory_order_relaxed);
  bool idle = false;
  while (!thread_wanted_ && !thread_stops_ && !idle) {
    const bool watches = thread_watches_.load(std::memory_order_relaxed);
    if (!watches)
      thread_wakes_.wait(lock);
    else
      idle = thread_wakes_.wait_for(lock, kIdle) == std::cv_status::timeout &&
             seen == durable_.load(std::memory_order_relaxed);
    seen = durable_.load(std::memory_order_relaxed);
  }
  thread_wanted_ = false;
  thread_watches_.store(false, std::memory_order_relaxed);
  return !thread_stops_;
}

// The store's own thread. What goes wrong is reported to whoever commits next.
void TreeStore::run_checkpoints() {
  auto session = this->session();
  if (!session) return fail_store(session.error());
  std::unique_lock lock(thread_mutex_);
  while (await_work(lock)) {
    lock.unlock();
    // For want of space it is tried again when something has been committed.
    if (const auto done = (*session)->checkpoint(); !done && done.error().code != Errc::kNoSpace)
      fail_store(done.error());
    lock.lock();
  }
}

void TreeStore::stop_thread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(thread_mutex_);
    thread_stops_ = true;
  }
  thread_wakes_.notify_one();
  thread_.join();
}

Result<> Session::checkpoint() {
  return store_.checkpoint(reader_, *writing_, nullptr, TreeStore::Use::kRelease);
}

}  // namespace splitring::kv
