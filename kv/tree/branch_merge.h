// Carries a memtable's changes of one branch into its tree: the users' trees first, then the
// segments of long values, which end when the values that name them do. And writes the catalogue of
// branches and snapshots. For checkpoints (store_checkpoint.cc).
#pragma once

#include "kv/tree/payload.h"
#include "kv/tree/store_state.h"

namespace splitring::kv {

// By branch, what a memtable changes: the newest version of each key; and what ended within it.
struct BranchChanges {
  uint32_t branch = 0;
  std::vector<Change> changes;   // sorted by key
  std::vector<uint64_t> ended;   // values elsewhere
  std::vector<PageRun> orphans;  // segments that were replaced before they got into a tree
};
[[nodiscard]] std::vector<BranchChanges> changes_of(const Memtable& memtable, uint64_t pages);
// All that they wrote of values elsewhere.
[[nodiscard]] std::vector<PageRun> segments_of(const BranchChanges& changes, uint64_t pages);

Result<Root> merge_branch(const Branch& branch, BranchChanges&& changes, PageReader& reader,
                          PageWriter& writer, TreeMerge& merge);

// The catalogue's entry for each.
[[nodiscard]] std::string catalogue_key(const Branch& branch);
[[nodiscard]] std::string catalogue_key(const SnapshotRecord& snapshot);
[[nodiscard]] std::string catalogue_payload(const Branch& branch);
[[nodiscard]] std::string catalogue_payload(const SnapshotRecord& snapshot);
// Adds what an entry says to `state`. kInvalid: malformed.
Result<> add_from_catalogue(std::string_view key, Bytes payload, uint64_t pages, State& state);
// Writes what differs between the two, and returns the catalogue's root.
Result<Root> merge_catalogue(const State& before, const State& next, TreeMerge& merge);

}  // namespace splitring::kv
