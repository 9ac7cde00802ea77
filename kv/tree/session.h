// One thread's way into a store: its own lane, its own frames of the page cache. Not thread-safe.
//
//   session->get(kDefaultTree, "key", value)       the present, one key; takes no lock
//   View view = TRY(session->view());              the present, for as long as it is held
//   session->with_tx([&](Transaction& tx) -> Result<> { ... })
#pragma once

#include "kv/tree/transaction.h"
#include "kv/tree/view.h"

namespace splitring::kv {

struct SnapshotInfo {
  std::string name;
  std::string branch;
  uint64_t generation = 0;
  int64_t created_s = 0;
};

class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Whether the key is there; its value goes to `value`, which is reused.
  Result<bool> get(TreeId tree, std::string_view key, std::string& value);
  // The same without a copy: `visit` is called with the value if the key is there, and its bytes
  // are gone when it returns. A value too long for a leaf is kLimit. `visit` calls nothing of this
  // session.
  template <class Visit>
  Result<bool> visit(TreeId tree, std::string_view key, Visit&& visit);

  // Of the branch that this session is on. kLimit: too many views.
  Result<View> view();
  // kNotFound.
  Result<View> view_of_snapshot(std::string_view snapshot);

  // Runs `body` and commits what it did, or nothing of it if it fails; its error is returned. Other
  // transactions wait meanwhile, readers do not. Do not nest. Test-and-set: read, compare, and
  // return kConflict (or whatever says so) to write nothing.
  using Body = std::function<Result<>(Transaction& tx)>;
  Result<> with_tx(const Body& body, Durability durability = Durability::kDurable);
  // Everything that was committed is durable.
  Result<> sync();
  // What was committed goes into the trees now.
  Result<> checkpoint();

  // Of the branch that this session is on, as it is now: instantly, whatever its size. kExists;
  // kInvalid: 1 to 255 bytes, no NUL.
  Result<> create_snapshot(std::string_view name);
  // What only it held is free again. kNotFound; kBusy: a branch began at it.
  Result<> remove_snapshot(std::string_view name);
  Result<std::vector<SnapshotInfo>> snapshots();
  // A branch that begins as a snapshot and can be written to. kExists, kNotFound.
  Result<> create_branch(std::string_view name, std::string_view snapshot);
  // kNotFound; kBusy: it has snapshots; kInvalid: "main", or the one that this session is on.
  Result<> remove_branch(std::string_view name);
  Result<std::vector<std::string>> branches();
  // What this session reads and writes from now on; "main" at first. kNotFound.
  Result<> use_branch(std::string_view name);

  // Calls `visit` with each key of `tree` that differs between two snapshots, in order, and what
  // changed; false from it ends that. Work in proportion to what differs. kNotFound.
  enum class Difference : uint8_t { kAdded, kRemoved, kChanged };
  using VisitDifference = std::function<Result<bool>(std::string_view key, Difference what)>;
  Result<> diff(std::string_view before, std::string_view after, TreeId tree,
                const VisitDifference& visit);

  // That the branch has no key that differs from a snapshot's, as of the last checkpoint.
  // kNotFound, kConflict.
  Result<> must_be_as_in(std::string_view snapshot);

  // Writes a long value before any transaction, so that nobody waits for it; put it with
  // Transaction::put_staged. Not used: its space is free again when it goes.
  // `next` fills what it is given and returns the number of bytes, 0 at the end. When space runs
  // low a checkpoint is made, outside a transaction: what was replaced since the last one is free
  // then. kNoSpace.
  using Source = std::function<Result<size_t>(std::span<std::byte> out)>;
  Result<StagedValue> stage(const Source& next);

  [[nodiscard]] TreeStore& store() { return store_; }

 private:
  friend class TreeStore;
  friend class StoreCheck;
  Session(TreeStore& store, std::unique_ptr<BlockQueue> lane, OwnedSlot slot, OwnedSlot writing);

  [[nodiscard]] Sight sight_now() const;
  Result<std::optional<Bytes>> lookup_now(TreeId tree, std::string_view key);
  // What the catalogue says, for as long as `use` runs.
  template <class Use>
  auto with_state(Use&& use);
  Result<> edit_catalogue(bool grows,
                          const std::function<Result<>(State& next, TreeMerge& merge)>& edit);
  Result<> make_space();
  Result<uint64_t> run_tx(const Body& body, Durability durability);
  Result<> commit(Transaction& tx, Durability durability);
  Result<bool> append_to_ring(Transaction& tx, Durability durability);
  Result<> commit_by_checkpoint(Transaction& tx);

  TreeStore& store_;
  std::unique_ptr<BlockQueue> lane_;
  OwnedSlot slot_;     // of single reads
  OwnedSlot writing_;  // of the transaction that is running
  PageReader reader_;
  uint32_t branch_ = kMainBranch;
  bool in_tx_ = false;
};

template <class Visit>
Result<bool> Session::visit(TreeId tree, std::string_view key, Visit&& visit) {
  const Pin pinned = reader_.pin();
  const auto found = lookup_now(tree, key);
  if (!found) return tl::make_unexpected(found.error());
  if (!*found) return false;
  const auto payload = Payload::parse(**found);
  if (!payload) return fail(Errc::kInvalid, "what is stored under a key is malformed");
  if (payload->elsewhere) return fail(Errc::kLimit, "too long to be shown in one piece");
  visit(payload->inline_bytes);
  return true;
}

}  // namespace splitring::kv
