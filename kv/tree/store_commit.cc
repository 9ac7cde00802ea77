// How transactions become durable (store.h): batches of what arrived while the disk was busy.
#include <algorithm>

#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {

Result<> TreeStore::failure() const {
  const std::lock_guard lock(log_mutex_);
  if (failure_) return fail_within("the store cannot be written to any more", *failure_);
  return {};
}

void TreeStore::fail_store(const Error& error) {
  const std::lock_guard lock(log_mutex_);
  if (!failure_) failure_ = error;
  log_changed_.notify_all();
}

// Writes what is pending. Precondition: locked, nobody leads, something is pending; a view is
// pinned.
void TreeStore::lead(std::unique_lock<std::mutex>& lock, BlockQueue& lane) {
  leading_ = true;
  std::swap(pending_, flight_);
  const uint64_t last = flight_.last_sequence();
  const bool flush = must_flush_ > durable_;
  lock.unlock();
  // Only who leads touches the ring's end; its beginning moves under the lock.
  const auto written = ring_.write(flight_, lane, flush);
  lock.lock();
  flight_.clear();
  leading_ = false;
  if (written) {
    ring_.move_end(*written);
    durable_ = last;
    state_.load(std::memory_order_acquire)->active->visible.store(last, std::memory_order_release);
  } else if (!failure_) {
    failure_ = written.error();
  }
  log_changed_.notify_all();
}

// Until every transaction up to `sequence` is in the ring, and flushed if it asked for that. Who
// finds nobody at it does it, for all.
Result<> TreeStore::wait_durable(uint64_t sequence, BlockQueue& lane) {
  std::unique_lock lock(log_mutex_);
  while (durable_ < sequence) {
    if (failure_) return fail_within("the store cannot be written to any more", *failure_);
    if (leading_)
      log_changed_.wait(lock);
    else
      lead(lock, lane);
  }
  return {};
}

uint64_t TreeStore::reserve_pages() const {
  return std::max<uint64_t>(16, (layout_.data_end - layout_.data_first) / 32);
}

// Whether the pages that a checkpoint of `memtable` may need, at the worst, could be missing. What
// only removes may use the reserve.
bool TreeStore::is_tight(const Memtable& memtable, bool grows) const {
  const uint64_t keys = memtable.keys();
  const auto leaves = static_cast<uint64_t>(std::max<int64_t>(0, leaf_pages_.load()));
  const auto inners = static_cast<uint64_t>(std::max<int64_t>(0, inner_pages_.load()));
  const uint64_t worst =
      std::min(keys, leaves) + 3 * memtable.bytes() / kPageBytes + std::min(4 * keys, inners) + 64;
  return space_->free_pages() < worst + (grows ? reserve_pages() : 0);
}

Result<> Session::with_tx(const Body& body, Durability durability) {
  if (store_.read_only_) return fail(Errc::kPermission, "the store was opened to be read only");
  TRY_VOID(store_.failure());
  if (TRY(run_tx(body, durability)) > store_.checkpoint_bytes_)
    return store_.has_thread_ ? store_.wake_thread()
                              : store_.checkpoint(reader_, *writing_, nullptr);
  return {};
}

// Returns the size of the memtable that it went to.
Result<uint64_t> Session::run_tx(const Body& body, Durability durability) {
  std::unique_lock writer(store_.writer_mutex_);
  const Pin pinned(store_.epochs_, *writing_);
  const State& state = *store_.state_.load(std::memory_order_acquire);
  if (state.branch(branch_) == nullptr)
    return fail(Errc::kNotFound, "the branch that this session is on was removed");
  Sight sight = sight_now();
  sight.sequence = UINT64_MAX;
  const uint64_t sequence = store_.last_sequence_ + 1;
  Transaction tx(store_, sight, reader_, *state.active, sequence);
  Result<> done = body(tx);
  if (done && tx.changes_ != 0) done = commit(tx, durability);
  if (!done) {
    tx.roll_back();
    return tl::make_unexpected(done.error());
  }
  // One that only read waits for what it has seen.
  const uint64_t last = store_.last_sequence_;
  writer.unlock();
  TRY_VOID(durability == Durability::kDurable ? store_.wait_durable(last, *lane_)
                                              : store_.publish_relaxed(last, *lane_));
  return state.active->bytes();
}

// Into what is pending for the ring; or, when there is no room for that, into the trees at once.
// Precondition: the writer's lock.
Result<> Session::commit(Transaction& tx, Durability durability) {
  bool fits = !store_.is_tight(tx.memtable_, tx.grows_);
  if (fits) {
    std::unique_lock lock(store_.log_mutex_);
    if (store_.failure_)
      return fail_within("the store cannot be written to any more", *store_.failure_);
    const uint64_t bytes = sizeof(DiskTransaction) + tx.log_.size();
    const uint64_t most = store_.ring_.most_batch_bytes();
    fits = bytes + sizeof(DiskBatch) <= most;
    // What is pending goes first if both together are too long for a batch.
    while (fits && store_.pending_.bytes() + bytes > most && !store_.failure_) {
      if (store_.leading_)
        store_.log_changed_.wait(lock);
      else
        store_.lead(lock, *lane_);
    }
    fits = fits && store_.ring_.has_room(store_.flight_.bytes() + store_.pending_.bytes() + bytes);
    if (fits) {
      store_.pending_.add(tx.sequence_, tx.changes_, tx.log_, !tx.written_.empty());
      store_.last_sequence_ = tx.sequence_;
      if (durability == Durability::kDurable) store_.must_flush_ = tx.sequence_;
      return {};
    }
  }
  return commit_by_checkpoint(tx);
}

// Precondition: the writer's lock.
Result<> Session::commit_by_checkpoint(Transaction& tx) {
  TRY_VOID(store_.wait_durable(store_.last_sequence_, *lane_));
  const std::lock_guard lock(store_.checkpoint_mutex_);
  if (store_.state_.load(std::memory_order_acquire)->frozen)
    TRY_VOID(store_.carry(store_.stuck_, reader_, nullptr));
  TreeStore::Cut cut;
  cut.memtable = store_.state_.load(std::memory_order_acquire)->active;
  cut.sequence = tx.sequence_;
  cut.grows = tx.grows_;
  {
    const std::lock_guard log(store_.log_mutex_);
    cut.ring = store_.ring_.end();
  }
  TRY_VOID(store_.carry(cut, reader_, nullptr));
  store_.last_sequence_ = tx.sequence_;
  const std::lock_guard log(store_.log_mutex_);
  store_.durable_ = tx.sequence_;
  return {};
}

// A relaxed transaction is seen once those before it that are not relaxed are durable; it is
// written when a good deal is pending.
Result<> TreeStore::publish_relaxed(uint64_t sequence, BlockQueue& lane) {
  constexpr size_t kWorthWriting = size_t{256} << 10;
  std::unique_lock lock(log_mutex_);
  while (durable_ < std::min(must_flush_, sequence) ||
         pending_.bytes() > std::min<uint64_t>(kWorthWriting, ring_.most_batch_bytes() / 2)) {
    if (failure_) return fail_within("the store cannot be written to any more", *failure_);
    if (leading_)
      log_changed_.wait(lock);
    else
      lead(lock, lane);
  }
  // A later one may have been published already; and one that came after this waits for its turn.
  auto& visible = state_.load(std::memory_order_acquire)->active->visible;
  if (visible.load(std::memory_order_relaxed) < sequence)
    visible.store(sequence, std::memory_order_release);
  return {};
}

Result<> Session::sync() {
  TRY_VOID(store_.failure());
  uint64_t last;
  {
    const std::lock_guard writer(store_.writer_mutex_);
    last = store_.last_sequence_;
  }
  {
    std::unique_lock lock(store_.log_mutex_);
    if (store_.must_flush_ < last) store_.must_flush_ = last;
  }
  const Pin pinned(store_.epochs_, *writing_);
  TRY_VOID(store_.wait_durable(last, *lane_));
  return lane_->flush();  // for what was written without
}

}  // namespace splitring::kv
