// What a store is at a moment: the roots of its branches and snapshots, and the memtables before
// them. A published state does not change; readers find the present one by one atomic load and it
// is deleted once no pin is old enough to have seen it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kv/tree/memtable.h"
#include "kv/tree/tree_merge.h"

namespace splitring::kv {

struct Branch {
  uint32_t number = kMainBranch;
  std::string name;
  Root root;
  uint64_t held = 0;    // pages born up to this generation belong to a snapshot as well
  uint64_t origin = 0;  // generation of the snapshot that it began at; 0: the store's beginning
};

struct SnapshotRecord {
  std::string name;
  uint32_t branch = kMainBranch;
  uint64_t generation = 0;
  uint64_t held = 0;  // of its branch when it was made: what the snapshot before it holds
  int64_t created_s = 0;
  Root root;
};

// For a session whose branch is in no state any more.
inline auto branch_is_gone() {
  return fail(Errc::kNotFound, "the branch that this session is on was removed");
}

// Branches and snapshots, together. What is read from a disk is held against it too.
inline constexpr size_t kMostCatalogued = 100'000;

struct State {
  uint64_t generation = 0;
  Root catalogue;
  std::vector<Branch> branches;           // by number
  std::vector<SnapshotRecord> snapshots;  // by generation
  // The highest number that a branch has had since the store was opened. None is given twice: a
  // session may still be on a branch that was removed.
  uint32_t last_branch = kMainBranch;
  std::shared_ptr<Memtable> active;
  std::shared_ptr<Memtable> frozen;  // being merged into the trees; null: nothing is

  [[nodiscard]] const Branch* branch(uint32_t number) const {
    for (const Branch& each : branches)
      if (each.number == number) return &each;
    return nullptr;
  }
  [[nodiscard]] bool is_full() const {
    return branches.size() + snapshots.size() >= kMostCatalogued;
  }
  [[nodiscard]] const SnapshotRecord* snapshot(std::string_view name) const {
    for (const SnapshotRecord& each : snapshots)
      if (each.name == name) return &each;
    return nullptr;
  }
};

// One branch or snapshot as of one transaction: all that a lookup needs.
struct Sight {
  Root root;
  const Memtable* active = nullptr;  // null: a snapshot's
  const Memtable* frozen = nullptr;
  uint64_t sequence = 0;
  uint32_t branch = kMainBranch;
};

}  // namespace splitring::kv
