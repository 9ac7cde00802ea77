// A transactional key-value store straight on a disk: no filesystem, no map size to guess, nothing
// that a power cut can hurt.
//
//   TRY_VOID(TreeStore::create(disk, {}));
//   auto store = TRY(TreeStore::open(disk, {}));
//   auto session = TRY(store->session());                     // one a thread (session.h)
//   TRY_VOID(session->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "key", "value");
//   }));
//
// A store holds trees: ordered maps from keys (1 to 1024 bytes) to values (from empty to larger
// than memory), each with a name of its own; and branches of all of them. Transactions are
// serialisable: one writer at a time, and any number of readers, each on the state as of one
// transaction, that take no lock, never wait for a writer and never make one wait. A transaction is
// durable when its commit returns; those that arrive while the disk is flushing are made durable
// together.
//
// How: a commit goes to a ring of batches on the disk (ring_log.h: one write, one flush) and to a
// memtable; checkpoints, in a thread of the store's own, carry memtables into copy-on-write trees
// of checksummed pages (tree_merge.h, space_map.h). After a crash the ring is replayed. What lies
// where is in docs/kv-format.md.
//
// A store that is full refuses what grows it (kNoSpace); what only deletes goes on, unless a
// snapshot or a reader holds what is deleted or one transaction changes more pages than are in
// reserve, and snapshots and branches can always be removed (store_space.cc).
//
// Any thread. The device outlives the store, the store its sessions. Errors: kIo: the medium failed
// or a page is not what was written there (it says which); after a failed write or flush every
// later transaction fails until the store is opened again, reads go on.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "blkimage/block_device.h"
#include "kv/tree/bell.h"
#include "kv/tree/brief_mutex.h"
#include "kv/tree/ring_log.h"
#include "kv/tree/space_map.h"
#include "kv/tree/store_state.h"

namespace splitring::kv {

class Session;

struct CreateOptions {
  uint64_t ring_bytes = 0;  // 0: a sixteenth of the disk, between 64 KiB and 32 MiB
  bool overwrite = false;   // even if there is a store already
};

struct StoreOptions {
  size_t cache_bytes = size_t{64} << 20;  // of pages in memory
  bool background = true;  // checkpoints in a thread of their own; else within commits
  bool read_only = false;  // changes nothing on the disk, not even after a crash
  // Space that was freed is given back to the disk (a discard) when there is more of it than this
  // and than what a checkpoint needs: what is less is soon written again. 0: all of it, at once.
  uint64_t discard_above_bytes = uint64_t{32} << 20;
  bool discard = true;  // false: never
};

// Space by kind, in pages of 4096 bytes.
struct StoreStat {
  uint64_t pages = 0;  // of the disk
  uint64_t free = 0;
  uint64_t resting = 0;  // freed, and still being looked at
  uint64_t leaf = 0;     // of the branches; what several share, of the oldest
  uint64_t inner = 0;
  uint64_t value = 0;     // of values too long for a leaf
  uint64_t snapshot = 0;  // held by snapshots alone, or reserved
  uint64_t ring = 0;
  uint64_t map = 0;
  uint64_t high_water = 0;  // no page from here on was ever needed
  uint64_t discarded = 0;   // given back to the disk since the store was opened
  uint64_t generation = 0;
  uint64_t transactions = 0;  // since the store was made; each open that may write counts as one
  uint64_t ring_used_bytes = 0;
  uint64_t memory_keys = 0;  // changed since the last checkpoint
};

class TreeStore {
 public:
  // Makes an empty store of the whole disk. kExists: there is one; kInvalid: less than 1 MiB;
  // kReadOnly and others: the disk's.
  static Result<> create(BlockDevice& device, const CreateOptions& options);
  // kNotFound: there is no store; kInvalid, kIo: it is damaged; kUnsupported: made by a later
  // version of this program.
  static Result<std::unique_ptr<TreeStore>> open(BlockDevice& device, const StoreOptions& options);
  // Without close(): as after a crash. Precondition: its sessions are gone.
  ~TreeStore();
  TreeStore(const TreeStore&) = delete;
  TreeStore& operator=(const TreeStore&) = delete;

  // A thread's way in: with a lane of its own. kLimit.
  Result<std::unique_ptr<Session>> session();
  // Everything into the trees, so that the next open has nothing to replay. Nothing may be written
  // afterwards. Precondition: its sessions are gone.
  Result<> close();
  // Gives all free space back to the disk, whatever was written there and when; the number of
  // pages. kUnsupported: the disk, or who opened the store, will have no discard.
  Result<uint64_t> trim();

  [[nodiscard]] StoreStat stat() const;
  [[nodiscard]] BlockDevice& device() const { return device_; }
  [[nodiscard]] bool read_only() const { return read_only_; }

 private:
  friend class Session;
  friend class View;
  friend class Transaction;
  friend class StoreCheck;

  // What is fixed when a store is made; docs/kv-format.md has the picture.
  struct Layout {
    uint64_t pages = 0;
    uint64_t ring_first = 0;
    uint64_t ring_pages = 0;
    uint64_t map_first = 0;
    uint64_t map_pages = 0;
    uint64_t data_first = 0;
    uint64_t data_end = 0;
    bool operator==(const Layout&) const = default;
    static Layout of(uint64_t pages, uint64_t ring_pages);
  };
  // What is written in a superblock and not in the state.
  struct Durable {
    DiskMapPointer map_root;
    RingLog::Position ring;
    uint64_t sequence = 0;
    int64_t leaf_pages = 0;
    int64_t inner_pages = 0;
    int64_t value_pages = 0;
  };
  // What may have to be replayed, at most: it takes a few hundredths of a second. At half of it, or
  // at three eighths of the ring, a checkpoint begins.
  static constexpr uint64_t kMostReplayedBytes = uint64_t{24} << 20;
  static constexpr uint64_t kMostReplayedChanges = uint64_t{192} << 10;
  // With so many in memory a checkpoint begins when nothing was committed for a while: reads that
  // find everything in the trees are faster. With fewer it would write too many pages for each.
  static constexpr uint64_t kWorthCarrying = kMostReplayedChanges / 16;
  static constexpr std::chrono::milliseconds kIdle{100};
  // A transaction that changes nothing, with which the first batch after an open begins: by its
  // random number, no batch that was written before a power cut, and lost one before it, can
  // follow.
  struct Opening {
    uint64_t sequence;
    uint32_t salt;
  };
  // What a checkpoint does besides: changes of the list of branches and snapshots.
  using Edit = std::function<Result<>(State& next, TreeMerge& merge)>;

  TreeStore(BlockDevice& device, const DiskSuperblock& super, const StoreOptions& options);

  // open
  Result<> read_catalogue(PageReader& reader, const DiskSuperblock& super, State& state);
  Result<> replay(BlockQueue& lane, State& state);
  Result<std::unique_ptr<PageReader>> make_reader(BlockQueue& lane, Epochs::Slot& slot);

  // commit
  Result<> wait_durable(uint64_t sequence, BlockQueue& lane);
  Result<> publish_relaxed(uint64_t sequence, BlockQueue& lane);
  void lead(std::unique_lock<BriefMutex>& lock, BlockQueue& lane);
  void gather(std::unique_lock<BriefMutex>& lock);
  void await_batch(std::unique_lock<BriefMutex>& lock, uint64_t sequence);
  void help(std::unique_lock<BriefMutex>& lock, uint64_t sequence, BlockQueue& lane);
  [[nodiscard]] bool has_room(uint64_t bytes) const;
  bool await_checkpoint();
  void fail_store(const Error& error);
  [[nodiscard]] Result<> failure() const;
  void tidy_memory();

  // space (store_space.cc)
  // What is to be done with the free pages, the reserve among them.
  enum class Use : uint8_t { kGrow, kShrink, kRelease };
  [[nodiscard]] bool is_tight(Use use);
  uint64_t withhold_space();
  [[nodiscard]] uint64_t pages_to_carry(const State& state) const;
  [[nodiscard]] uint64_t reserve_pages(Use use) const;
  // Whether a segment more would begin to use up the reserve.
  [[nodiscard]] bool is_low() const;

  // checkpoint
  // What a checkpoint carries: all of it, up to that transaction, after which the ring goes on
  // there.
  struct Cut {
    std::shared_ptr<Memtable> memtable;
    uint64_t sequence = 0;
    RingLog::Position ring;
    Use use = Use::kRelease;  // what may be refused leaves something in reserve
  };
  // Only if something changed since the last one, or there is an edit; one that releases space is
  // made without the rest if that does not fit. Precondition: nothing of this thread is pinned;
  // `slot` is its own.
  Result<> checkpoint(PageReader& reader, Epochs::Slot& slot, const Edit& edit, Use use);
  Result<bool> carry_memory(std::unique_lock<BriefMutex>& writer, PageReader& reader,
                            Epochs::Slot& slot, const Edit& edit, Use use);
  Result<Cut> freeze(PageReader& reader);
  Result<> carry(const Cut& cut, PageReader& reader, const Edit& edit);
  Result<> write_superblock(const State& state, const Durable& durable, BlockQueue& lane);
  // Of what was freed and nobody looks at any more, all but `keep` pages. Precondition: the
  // checkpointer's lock, so that the generation that freed them is durable.
  void discard_freed(BlockQueue& lane, uint64_t keep);
  Result<> discard_run(PageRun run, BlockQueue& lane);
  // Makes the next state from the present one, one at a time.
  void publish(const std::function<void(State& next)>& change);
  Result<> wake_thread();
  void watch_for_idleness();
  // Until a checkpoint is wanted, or worth it because nobody writes; false: the store closes.
  bool await_work(std::unique_lock<std::mutex>& lock);
  void run_checkpoints();
  void stop_thread();

  BlockDevice& device_;
  const bool read_only_;
  const Layout layout_;
  const uint64_t id_low_;
  const uint64_t id_high_;
  const uint64_t compatible_features_;  // unknown ones are kept
  const uint64_t discard_above_bytes_;
  std::atomic<bool> can_discard_;
  std::atomic<uint64_t> discarded_{0};  // pages
  uint64_t checkpoint_needs_ = 0;       // pages, lately; the checkpointer's
  uint64_t checkpoint_bytes_ = 0;
  mutable Epochs epochs_;
  std::unique_ptr<PageCache> cache_;
  std::unique_ptr<SpaceMap> space_;

  // Locked in this order.
  BriefMutex writer_mutex_;         // who changes the active memtable
  std::mutex checkpoint_mutex_;     // who carries one into the trees
  mutable BriefMutex log_mutex_;    // of the ring and what is on its way there
  mutable std::mutex state_mutex_;  // of publishing states

  uint64_t last_sequence_ = 0;      // applied; the writer's
  std::optional<Opening> opening_;  // until it is on its way to the ring; the writer's

  RingLog ring_;
  Batch pending_;
  Batch flight_;
  // Rung when the batch is over; that of a new batch is the one of the batch before the last.
  std::array<Bell, 2> bells_;
  size_t pending_bell_ = 0;
  bool leading_ = false;
  std::atomic<uint32_t> pending_count_{0};  // transactions; changed under the lock
  uint32_t crowd_ = 1;    // how many committed at about the same time, by the last batch
  int64_t batch_ns_ = 0;  // what the last batch took
  std::atomic<uint64_t> durable_{0};  // every transaction up to this one; written under the lock
  uint64_t must_flush_ = 0;           // the last one that asked to be durable
  uint64_t active_from_ = 0;          // where the ring's batches of the active memtable begin
  std::atomic<bool> ring_is_long_{false};  // they are worth a checkpoint
  std::optional<Error> failure_;
  std::atomic<bool> failed_{false};  // there is a failure_

  Durable on_disk_;  // of the present generation; the checkpointer's
  Cut stuck_;        // of the memtable that is frozen; likewise
  std::atomic<const State*> state_{nullptr};
  struct Retired {
    uint64_t epoch;
    std::unique_ptr<const State> state;
  };
  std::deque<Retired> retired_;
  std::atomic<int64_t> leaf_pages_{0};
  std::atomic<int64_t> inner_pages_{0};
  std::atomic<int64_t> value_pages_{0};

  std::thread thread_;
  std::mutex thread_mutex_;  // of what is below
  std::condition_variable thread_wakes_;
  bool thread_wanted_ = false;
  std::atomic<bool> thread_watches_{false};  // set without the lock, too
  bool thread_stops_ = false;
  bool has_thread_ = false;
};

}  // namespace splitring::kv
