#include "kv/tree/session.h"

#include "kv/key.h"
#include "kv/tree/lookup.h"
#include "kv/tree/store.h"

namespace splitring::kv {

Session::Session(TreeStore& store, std::unique_ptr<BlockQueue> lane, OwnedSlot slot,
                 OwnedSlot writing)
    : store_(store),
      lane_(std::move(lane)),
      slot_(std::move(slot)),
      writing_(std::move(writing)),
      reader_(*lane_, *store.cache_, store.epochs_, store.layout_.pages) {
  reader_.set_slot(*slot_);
}

Session::~Session() = default;

// Precondition: a read or view is pinned, and keeps what it shows.
Sight Session::sight_now() const {
  const State& state = *store_.state_.load(std::memory_order_seq_cst);
  Sight sight;
  // A branch that was removed meanwhile is empty.
  if (const Branch* const branch = state.branch(branch_); branch != nullptr)
    sight.root = branch->root;
  sight.active = state.active.get();
  sight.frozen = state.frozen.get();
  sight.sequence = sight.active->visible.load(std::memory_order_acquire);
  sight.branch = branch_;
  return sight;
}

Result<std::optional<Bytes>> Session::lookup_now(TreeId tree, std::string_view key) {
  if (key.empty() || key.size() > kMaxUserKeyBytes) return std::optional<Bytes>();
  return lookup(sight_now(), reader_, FullKey(branch_, static_cast<uint32_t>(tree), key));
}

Result<bool> Session::get(TreeId tree, std::string_view key, std::string& value) {
  {
    const Pin pinned = reader_.pin();
    const auto found = lookup_now(tree, key);
    if (!found) return tl::make_unexpected(found.error());
    if (!*found) return false;
    const auto payload = Payload::parse(**found);
    if (!payload) return fail(Errc::kInvalid, printable_key(key) + ": malformed");
    if (!payload->elsewhere) {
      value.assign(text_of(payload->inline_bytes));
      return true;
    }
  }
  return TRY(view()).get(tree, key, value);
}

Result<View> Session::view() {
  OwnedSlot slot(TRY(store_.epochs_.claim(true)));
  slot->pin(store_.epochs_.now());
  return View(sight_now(), reader_, std::move(slot));
}

Result<View> Session::view_of_snapshot(std::string_view snapshot) {
  OwnedSlot slot(TRY(store_.epochs_.claim(true)));
  slot->pin(store_.epochs_.now());
  const State& state = *store_.state_.load(std::memory_order_seq_cst);
  const SnapshotRecord* const record = state.snapshot(snapshot);
  if (record == nullptr)
    return fail(Errc::kNotFound, "no such snapshot: " + printable_key(snapshot));
  Sight sight;
  sight.root = record->root;
  sight.branch = record->branch;
  return View(sight, reader_, std::move(slot));
}

// By a checkpoint, as long as there are the pages that it takes itself.
Result<> Session::make_space() {
  const Result<> done = checkpoint();
  if (!done && done.error().code != Errc::kNoSpace) return done;
  store_.space_->collect();
  return {};
}

Result<StagedValue> Session::stage(const Source& next) {
  StagedValue staged(*store_.space_);
  const auto memory = TRY(LaneMemory::allocate(*lane_, kSegmentBytes));
  bool more = true;
  bool may_make_space = !in_tx_;
  while (more) {
    if (may_make_space && store_.is_low()) {
      may_make_space = false;
      TRY_VOID(make_space());
    }
    size_t filled = 0;
    while (filled < kSegmentBytes && more) {
      const size_t count = TRY(next(memory.bytes().subspan(filled)));
      filled += count;
      more = count != 0;
    }
    TRY_VOID(staged.write(staged.length, memory.bytes().first(filled), *lane_));
    staged.length += filled;
  }
  return staged;
}

}  // namespace splitring::kv
