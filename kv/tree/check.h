// Looks at every page of a store and says what is wrong and where.
//
// Reads everything from the disk, past the cache: superblocks, catalogue, space map, the trees of
// all branches and snapshots (what they share once), every byte of long values. Compares each page
// with the hash of its parent's pointer, its order with its parent's keys, and what the trees use
// with what the space map says: a page that two use, that is used and marked free, or marked used
// and nobody's. And every byte of the long values that the ring alone names; the ring itself was
// checked when the store was opened. Checkpoints wait meanwhile, transactions and readers do not.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "kv/tree/session.h"
#include "kv/tree/tree_merge.h"

namespace splitring::kv {

struct CheckReport {
  std::vector<std::string> problems;  // none: all is well; the first kMostProblems
  uint64_t problem_count = 0;
  uint64_t leaf_pages = 0;  // of all branches and snapshots, what they share once
  uint64_t inner_pages = 0;
  uint64_t value_pages = 0;
  uint64_t keys = 0;       // of users, in the leaves that were looked at
  uint64_t ring_keys = 0;  // that were changed since the last checkpoint: the ring alone has that
  [[nodiscard]] bool clean() const { return problem_count == 0; }
};

class StoreCheck {
 public:
  static constexpr size_t kMostProblems = 1000;

  // Errors only for what keeps it from looking; what is wrong with the store is in the report.
  static Result<CheckReport> run(TreeStore& store, Session& session);

 private:
  StoreCheck(TreeStore& store, Session& session);

  void problem(std::string text);
  Result<> superblocks(uint64_t generation);
  Result<> tree(const Root& root, const std::string& whose);
  Result<> page(const Pointer& pointer, unsigned level, std::string_view from,
                const std::string* to);
  Result<> inner_page(const std::byte* bytes, unsigned level, std::string_view from,
                      const std::string* to);
  Result<> leaf_page(const std::byte* bytes);
  Result<> segment(std::string_view key, Bytes payload);
  // Marks pages as in use; false: by this very thing already (a snapshot shares it).
  bool use(uint64_t first, uint64_t count, const std::string& what);
  Result<> space_map();
  Result<> memory(const Memtable& memtable);

  TreeStore& store_;
  Session& session_;
  CheckReport report_;
  std::string whose_;
  std::vector<bool> used_;
  std::unordered_set<uint64_t> seen_trees_;     // pages of trees
  std::unordered_set<uint64_t> seen_segments_;  // first pages of segments
};

}  // namespace splitring::kv
