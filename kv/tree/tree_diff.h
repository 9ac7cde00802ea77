// What differs between two trees that grew from one: pages that both have are not looked into, so
// the work is proportional to what changed.
//
// A page that two trees share is at the same level in both, and if its parent is not shared in one
// tree it is not in the other either: so each level's differing pages are found among the children
// of the level above, without looking at any key. A page that one tree names twice is refused
// (kInvalid): there are never more of them than the store has. One thread; the roots are pinned by
// a view or by the checkpointer's lock.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "kv/tree/page_io.h"
#include "kv/tree/space_map.h"
#include "kv/tree/tree_merge.h"

namespace splitring::kv {

struct PageDifference {
  struct Side {
    std::vector<Pointer> inner;   // of any level
    std::vector<Pointer> leaves;  // in the order of their keys
  };
  Side before;
  Side after;
};
Result<PageDifference> differing_pages(const Root& before, const Root& after, PageReader& reader);

// Calls `visit` with every key that is in only one of them, or has another payload; the keys, as in
// a page, come in order. False from `visit` ends it.
using VisitDifference = std::function<Result<bool>(
    std::string_view key, std::optional<Bytes> before, std::optional<Bytes> after)>;
Result<> differing_keys(const Root& before, const Root& after, PageReader& reader,
                        const VisitDifference& visit);

// Pages of `tree`, and of values in it, that `other` does not have and that were born after
// `since`.
struct OwnPages {
  std::vector<PageRun> runs;
  TreeMerge::Counts counts;
};
Result<OwnPages> pages_of_one(const Root& tree, const Root& other, uint64_t since,
                              PageReader& reader);

}  // namespace splitring::kv
