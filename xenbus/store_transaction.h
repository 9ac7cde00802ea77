// One open transaction: what it changed, and what it must not see of what others changed. Pure.
//
// It sees the tree as it was when the transaction began: whenever a committed node changes, the
// tree hands the previous form to every open transaction, so beginning one costs nothing. It
// conflicts if a node that it read or wrote is among those (as xenstored's do, by generations).
//
// Bounds: it may access `nodes_max` nodes; if others change more than so many different ones
// meanwhile, it is given up: it sees the committed tree from then on and conflicts at its end.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "xenbus/store_nodes.h"

namespace splitring {

class StoreTransaction {
 public:
  explicit StoreTransaction(size_t nodes_max) : nodes_max_(nodes_max) {}

  // Notes that the outcome depends on `path`. Error: kNoSpace past the bound.
  StoreResult<> access(const std::string& path);

  // The committed tree is about to change `path`, which was `node` so far.
  void keep_previous(const std::string& path, const StoreNodePtr& node);

  void put(const std::string& path, StoreNodePtr node);
  // Watches on `path` (`exact_only`: not those above it) will fire at the commit.
  void note_change(const std::string& path, bool exact_only);
  // Nodes that `domain` owns more through this transaction.
  void count(DomId domain, int64_t difference) { owned_[domain] += difference; }

  [[nodiscard]] bool conflicts() const;
  [[nodiscard]] bool writes_mention(DomId domain) const;
  void give_up();

  using Change = std::pair<std::string, bool>;  // path, exact_only
  [[nodiscard]] const StoreNodeMap& previous() const { return previous_; }
  [[nodiscard]] const StoreNodeMap& writes() const { return writes_; }
  [[nodiscard]] const std::vector<Change>& changes() const { return changes_; }
  [[nodiscard]] const std::map<DomId, int64_t>& owned() const { return owned_; }

 private:
  size_t nodes_max_;
  bool given_up_ = false;
  StoreNodeMap previous_;
  StoreNodeMap writes_;
  std::set<std::string, StorePathLess> accessed_;
  std::vector<Change> changes_;  // in order, each once
  std::set<Change> changes_noted_;
  std::map<DomId, int64_t> owned_;
};

}  // namespace splitring
