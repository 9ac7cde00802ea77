// Snapshots and branches (session.h): entries of the catalogue, made and removed by checkpoints.
#include <algorithm>
#include <ctime>

#include "kv/key.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "kv/tree/tree_diff.h"

namespace splitring::kv {
namespace {

Result<> check_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.find('\0') != std::string_view::npos)
    return fail(Errc::kInvalid,
                "a snapshot's or branch's name has 1 to 255 bytes, none of them NUL");
  return {};
}

Branch* branch_named(State& state, std::string_view name) {
  const auto found = std::ranges::find(state.branches, name, &Branch::name);
  return found == state.branches.end() ? nullptr : &*found;
}

Result<> check_room(const State& state) {
  if (state.is_full())
    return fail(Errc::kLimit, "a store has " + std::to_string(kMostCatalogued) +
                                  " snapshots and branches at most; remove some");
  return {};
}

auto no_snapshot(std::string_view name) {
  return fail(Errc::kNotFound, "no such snapshot: " + printable_key(name));
}

auto no_branch(std::string_view name) {
  return fail(Errc::kNotFound, "no such branch: " + printable_key(name));
}

}  // namespace

template <class Use>
auto Session::with_state(Use&& use) {
  const Pin pinned(store_.epochs_, *writing_);
  return use(*store_.state_.load(std::memory_order_seq_cst));
}

Result<> Session::edit_catalogue(bool grows, const TreeStore::Edit& edit) {
  if (store_.read_only_) return fail(Errc::kPermission, "the store was opened to be read only");
  return store_.checkpoint(reader_, *writing_, edit,
                           grows ? TreeStore::Use::kGrow : TreeStore::Use::kRelease);
}

Result<> Session::create_snapshot(std::string_view name) {
  TRY_VOID(check_name(name));
  return edit_catalogue(/*grows=*/true, [&](State& next, TreeMerge&) -> Result<> {
    if (next.snapshot(name) != nullptr)
      return fail(Errc::kExists, printable_key(name) + " is a snapshot already");
    TRY_VOID(check_room(next));
    const auto branch = std::ranges::find(next.branches, branch_, &Branch::number);
    if (branch == next.branches.end()) return branch_is_gone();
    next.snapshots.push_back({.name = std::string(name),
                              .branch = branch->number,
                              .generation = next.generation,
                              .held = branch->held,
                              .created_s = static_cast<int64_t>(::time(nullptr)),
                              .root = branch->root});
    branch->held = next.generation;
    return {};
  });
}

// What the snapshot or branch that comes next does not have, and the one before it did not, is
// free.
Result<> Session::remove_snapshot(std::string_view name) {
  return edit_catalogue(/*grows=*/false, [&](State& next, TreeMerge& merge) -> Result<> {
    const SnapshotRecord* const found = next.snapshot(name);
    if (found == nullptr) return no_snapshot(name);
    const SnapshotRecord gone = *found;
    for (const Branch& branch : next.branches)
      if (branch.origin == gone.generation && branch.number != gone.branch)
        return fail(Errc::kBusy, "branch " + printable_key(branch.name) + " began at it");
    std::erase_if(next.snapshots, [&](const SnapshotRecord& each) { return each.name == name; });
    Root after;
    bool is_newest = true;
    for (SnapshotRecord& each : next.snapshots) {
      if (each.branch != gone.branch || each.held != gone.generation) continue;
      each.held = gone.held;
      after = each.root;
      is_newest = false;
    }
    for (Branch& branch : next.branches) {
      if (branch.number != gone.branch || !is_newest) continue;
      branch.held = gone.held;
      after = branch.root;
    }
    const OwnPages own = TRY(pages_of_one(gone.root, after, gone.held, reader_));
    for (const PageRun& run : own.runs) merge.free_value(run);
    return {};
  });
}

Result<std::vector<SnapshotInfo>> Session::snapshots() {
  return with_state([](const State& state) {
    std::vector<SnapshotInfo> all;
    for (const SnapshotRecord& each : state.snapshots) {
      const Branch* const branch = state.branch(each.branch);
      all.push_back({.name = each.name,
                     .branch = branch == nullptr ? std::string() : branch->name,
                     .generation = each.generation,
                     .created_s = each.created_s});
    }
    return all;
  });
}

Result<> Session::create_branch(std::string_view name, std::string_view snapshot) {
  TRY_VOID(check_name(name));
  return edit_catalogue(/*grows=*/true, [&](State& next, TreeMerge&) -> Result<> {
    const SnapshotRecord* const from = next.snapshot(snapshot);
    if (from == nullptr) return no_snapshot(snapshot);
    if (branch_named(next, name) != nullptr)
      return fail(Errc::kExists, printable_key(name) + " is a branch already");
    TRY_VOID(check_room(next));
    if (next.last_branch == UINT32_MAX)
      return fail(Errc::kLimit, "the store has had too many branches");
    next.branches.push_back({.number = ++next.last_branch,
                             .name = std::string(name),
                             .root = from->root,
                             .held = from->generation,
                             .origin = from->generation});
    return {};
  });
}

Result<> Session::remove_branch(std::string_view name) {
  return edit_catalogue(/*grows=*/false, [&](State& next, TreeMerge& merge) -> Result<> {
    const Branch* const found = branch_named(next, name);
    if (found == nullptr) return no_branch(name);
    const Branch gone = *found;
    if (gone.number == kMainBranch || gone.number == branch_)
      return fail(Errc::kInvalid, printable_key(name) + " is in use");
    for (const SnapshotRecord& each : next.snapshots)
      if (each.branch == gone.number)
        return fail(Errc::kBusy, "snapshot " + printable_key(each.name) + " is of that branch");
    // It has no snapshots, so what it does not share is what was counted when it was written.
    const OwnPages own = TRY(pages_of_one(gone.root, {}, gone.held, reader_));
    for (const PageRun& run : own.runs) merge.free_value(run);
    merge.uncount(own.counts);
    std::erase_if(next.branches, [&](const Branch& each) { return each.number == gone.number; });
    return {};
  });
}

Result<std::vector<std::string>> Session::branches() {
  return with_state([](const State& state) {
    std::vector<std::string> names;
    for (const Branch& each : state.branches) names.push_back(each.name);
    return names;
  });
}

Result<> Session::use_branch(std::string_view name) {
  return with_state([&](const State& state) -> Result<> {
    for (const Branch& each : state.branches) {
      if (each.name != name) continue;
      branch_ = each.number;
      return {};
    }
    return no_branch(name);
  });
}

Result<> Session::diff(std::string_view before, std::string_view after, TreeId tree,
                       const VisitDifference& visit) {
  // They keep the snapshots' pages even if those are removed meanwhile.
  const View old_view = TRY(view_of_snapshot(before));
  const View new_view = TRY(view_of_snapshot(after));
  std::string realm;
  append_be32(realm, static_cast<uint32_t>(tree));
  return differing_keys(
      old_view.sight().root, new_view.sight().root, reader_,
      [&](std::string_view key, std::optional<Bytes> was, std::optional<Bytes> is) -> Result<bool> {
        if (!key.starts_with(realm)) return key < realm;  // not yet, or no more
        return visit(key.substr(realm.size()), !was  ? Difference::kAdded
                                               : !is ? Difference::kRemoved
                                                     : Difference::kChanged);
      });
}

Result<> Session::must_be_as_in(std::string_view snapshot) {
  const View then = TRY(view_of_snapshot(snapshot));
  const View now = TRY(view());
  const auto conflict = [&](std::string_view, std::optional<Bytes>,
                            std::optional<Bytes>) -> Result<bool> {
    return fail(Errc::kConflict, "the store has changed since " + printable_key(snapshot));
  };
  for (const Memtable* const memtable : {now.sight().active, now.sight().frozen})
    if (memtable != nullptr && !memtable->empty())
      return fail(Errc::kConflict, "something was written meanwhile");
  return differing_keys(then.sight().root, now.sight().root, reader_, conflict);
}

}  // namespace splitring::kv
