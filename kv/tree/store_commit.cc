// How transactions become durable (store.h): batches of what arrived while the disk was busy.
#include <algorithm>
#include <chrono>

#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

// A batch that is being written is worth waiting for so much of what it takes, ...
constexpr int64_t kGatherShare = 3;
// ... unless it is long already.
constexpr size_t kLongBatch = size_t{64} << 10;

class InBody {
 public:
  explicit InBody(bool& flag) : flag_(flag) { flag_ = true; }
  ~InBody() { flag_ = false; }
  InBody(const InBody&) = delete;
  InBody& operator=(const InBody&) = delete;

 private:
  bool& flag_;
};

int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

Result<> TreeStore::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(log_mutex_);
  return fail_within("the store cannot be written to any more", *failure_);
}

void TreeStore::fail_store(const Error& error) {
  {
    const std::lock_guard lock(log_mutex_);
    if (!failure_) failure_ = error;
    failed_.store(true, std::memory_order_release);
  }
  for (Bell& bell : bells_) bell.ring();
}

// Writes what is pending. Precondition: locked, nobody leads, something is pending; a view is
// pinned. Unlocks.
void TreeStore::lead(std::unique_lock<BriefMutex>& lock, BlockQueue& lane) {
  leading_ = true;
  gather(lock);
  const int64_t begun_ns = now_ns();
  const uint32_t count = pending_count_.exchange(0, std::memory_order_relaxed);
  std::swap(pending_, flight_);
  Bell& mine = bells_[pending_bell_];
  pending_bell_ ^= 1;
  Bell& next = bells_[pending_bell_];
  const uint64_t last = flight_.last_sequence();
  const bool flush = must_flush_ > durable_.load(std::memory_order_relaxed);
  lock.unlock();
  // Only who leads touches the ring's end; its beginning moves under the lock.
  const auto written = ring_.write(flight_, lane, flush);
  lock.lock();
  flight_.clear();
  leading_ = false;
  if (written) {
    ring_.move_end(*written);
    if (written->at - active_from_ > checkpoint_bytes_)
      ring_is_long_.store(true, std::memory_order_relaxed);
    // A relaxed one behind these may have been shown already.
    auto& visible = state_.load(std::memory_order_acquire)->active->visible;
    if (visible.load(std::memory_order_relaxed) < last)
      visible.store(last, std::memory_order_release);
    durable_.store(last, std::memory_order_release);
  } else if (!failure_) {
    failure_ = written.error();
    failed_.store(true, std::memory_order_release);
  }
  batch_ns_ = now_ns() - begun_ns;
  crowd_ = count + pending_count_.load(std::memory_order_relaxed);
  const bool more = !pending_.empty();
  const bool failed = failure_.has_value();
  lock.unlock();
  // Somebody to go on with the next batch first: the disk is idle until then.
  if (failed)
    next.ring();
  else if (more)
    next.ring_one();
  mine.ring();
}

// Those whom the last batch woke are about to come with their next transactions: one batch for all
// is sooner durable than two. Precondition: locked, this thread leads.
void TreeStore::gather(std::unique_lock<BriefMutex>& lock) {
  const uint32_t crowd = crowd_;
  const auto is_small = [&] { return pending_count_.load(std::memory_order_relaxed) < crowd; };
  if (!is_small() || pending_.bytes() > kLongBatch) return;
  lock.unlock();
  const int64_t end_ns = now_ns() + batch_ns_ / kGatherShare;
  do {
    ::sched_yield();
  } while (is_small() && now_ns() < end_ns);
  lock.lock();
}

// Until the batch of that transaction, which is pending or in flight, is over or somebody has to
// lead it; or earlier. Precondition: locked, somebody leads. Unlocks.
void TreeStore::await_batch(std::unique_lock<BriefMutex>& lock, uint64_t sequence) {
  // While who leads still gathers, nothing is in flight: what it will write is pending.
  const bool in_flight = !flight_.empty() && sequence <= flight_.last_sequence();
  const Bell& bell = bells_[in_flight ? pending_bell_ ^ 1 : pending_bell_];
  const Bell::Ticket ticket = bell.ticket();
  lock.unlock();
  bell.wait(ticket);
}

// Gets on with what is in flight or pending. Precondition: locked; something is. Unlocks.
void TreeStore::help(std::unique_lock<BriefMutex>& lock, uint64_t sequence, BlockQueue& lane) {
  if (leading_)
    await_batch(lock, sequence);
  else
    lead(lock, lane);
}

// Until every transaction up to `sequence` is in the ring, and flushed if it asked for that. Who
// finds nobody at it does it, for all.
Result<> TreeStore::wait_durable(uint64_t sequence, BlockQueue& lane) {
  while (durable_.load(std::memory_order_acquire) < sequence) {
    std::unique_lock lock(log_mutex_);
    if (durable_.load(std::memory_order_relaxed) >= sequence) break;
    if (failure_) return fail_within("the store cannot be written to any more", *failure_);
    help(lock, sequence, lane);
  }
  return {};
}

Result<> Session::with_tx(const Body& body, Durability durability) {
  if (store_.read_only_) return fail(Errc::kPermission, "the store was opened to be read only");
  TRY_VOID(store_.failure());
  const uint64_t changes = TRY(run_tx(body, durability));
  if (changes > TreeStore::kMostReplayedChanges / 2 ||
      store_.ring_is_long_.load(std::memory_order_relaxed)) {
    if (store_.has_thread_) return store_.wake_thread();
    // It is committed, whether there is space for a checkpoint or not.
    if (auto done = checkpoint(); !done && done.error().code != Errc::kNoSpace) return done;
  } else if (store_.has_thread_ && changes > TreeStore::kWorthCarrying) {
    store_.watch_for_idleness();
  }
  return {};
}

// Returns the number of changes in the memtable that it went to.
Result<uint64_t> Session::run_tx(const Body& body, Durability durability) {
  std::unique_lock writer(store_.writer_mutex_);
  const Pin pinned(store_.epochs_, *writing_);
  store_.tidy_memory();
  const State& state = *store_.state_.load(std::memory_order_seq_cst);
  if (state.branch(branch_) == nullptr) return branch_is_gone();
  Sight sight = sight_now();
  sight.sequence = UINT64_MAX;
  const uint64_t sequence = store_.last_sequence_ + 1;
  Transaction tx(store_, sight, reader_, *state.active, sequence);
  Result<> done = [&] {
    const InBody within(in_tx_);
    return body(tx);
  }();
  if (done && tx.changes_ != 0) done = commit(tx, durability);
  TRY_VOID(done);
  tx.keep();
  // One that only read waits for what it has seen.
  const uint64_t last = store_.last_sequence_;
  writer.unlock();
  TRY_VOID(durability == Durability::kDurable ? store_.wait_durable(last, *lane_)
                                              : store_.publish_relaxed(last, *lane_));
  return state.active->changes();
}

// Puts a copy in the active memtable's place if much of that was rolled back. Who reads goes on in
// the old one. Precondition: the writer's lock, a view is pinned.
void TreeStore::tidy_memory() {
  const Memtable& active = *state_.load(std::memory_order_seq_cst)->active;
  if (!active.is_worth_copying()) return;
  auto copy = active.copy();
  const std::lock_guard lock(log_mutex_);  // nothing more becomes visible meanwhile
  copy->visible.store(active.visible.load());
  publish([&](State& next) { next.active = std::move(copy); });
}

// Whether so much more may be replayed after a crash. Precondition: locked.
bool TreeStore::has_room(uint64_t bytes) const {
  const State& state = *state_.load(std::memory_order_acquire);
  const uint64_t changes =
      state.active->changes() + (state.frozen == nullptr ? 0 : state.frozen->changes());
  const uint64_t more = flight_.bytes() + pending_.bytes() + bytes;
  return ring_.has_room(more) && ring_.used_bytes() + more <= kMostReplayedBytes &&
         changes <= kMostReplayedChanges;
}

// Until the checkpoint that is going on is over and has made room; false: none has.
// Precondition: the writer's lock.
bool TreeStore::await_checkpoint() {
  const auto is_carried = [&] { return state_.load(std::memory_order_acquire)->frozen == nullptr; };
  if (!has_thread_ || is_carried()) return false;
  const std::lock_guard lock(checkpoint_mutex_);
  return is_carried();
}

// Into what is pending for the ring; or, when there is no room for that, into the trees at once.
// Precondition: the writer's lock.
Result<> Session::commit(Transaction& tx, Durability durability) {
  const auto use = tx.grows_ ? TreeStore::Use::kGrow : TreeStore::Use::kShrink;
  do {
    if (store_.is_tight(use)) break;
    if (TRY(append_to_ring(tx, durability))) return {};
  } while (store_.await_checkpoint());
  return commit_by_checkpoint(tx);
}

// False: there is no room. Precondition: the writer's lock.
Result<bool> Session::append_to_ring(Transaction& tx, Durability durability) {
  std::unique_lock lock(store_.log_mutex_);
  const uint64_t opening = store_.opening_ ? sizeof(DiskTransaction) : 0;
  const uint64_t bytes = opening + sizeof(DiskTransaction) + tx.log_.size();
  const uint64_t most = store_.ring_.most_batch_bytes();
  if (bytes + sizeof(DiskBatch) > most) return false;
  // What is pending goes first if both together are too long for a batch.
  while (store_.pending_.bytes() + bytes > most && !store_.failure_) {
    store_.help(lock, store_.flight_.last_sequence(), *lane_);
    lock.lock();
  }
  if (store_.failure_)
    return fail_within("the store cannot be written to any more", *store_.failure_);
  if (!store_.has_room(bytes)) return false;
  if (store_.opening_)
    store_.pending_.add(store_.opening_->sequence, store_.opening_->salt, {}, false);
  store_.opening_.reset();
  store_.pending_.add(tx.sequence_, tx.changes_, tx.log_, !tx.written_.empty());
  store_.pending_count_.fetch_add(1, std::memory_order_relaxed);
  store_.last_sequence_ = tx.sequence_;
  if (durability == Durability::kDurable) store_.must_flush_ = tx.sequence_;
  return true;
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
  cut.use = tx.grows_ ? TreeStore::Use::kGrow : TreeStore::Use::kShrink;
  {
    const std::lock_guard log(store_.log_mutex_);
    cut.ring = store_.ring_.end();
    store_.active_from_ = cut.ring.at;
    store_.ring_is_long_.store(false, std::memory_order_relaxed);
  }
  const auto carried = store_.carry(cut, reader_, nullptr);
  if (!carried && carried.error().code == Errc::kNoSpace && !tx.grows_)
    return fail(Errc::kNoSpace,
                "the store is full, and what this transaction removes lies in too many pages to do "
                "it at once: remove less in one");
  TRY_VOID(carried);
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
    help(lock, flight_.last_sequence(), lane);
    lock.lock();
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
