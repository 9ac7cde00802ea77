// What the store should do, written as plainly as possible and apart from the server: a map that
// is copied for every transaction, whose requests are run again on the shared map at its commit.
// No quotas.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace splitring::test {

class StoreModel {
 public:
  enum class Kind { kRead, kList, kPermissions, kWrite, kMakeDirectory, kRemove, kSetPermissions };
  struct Request {
    Kind kind;
    int domain;
    std::string path;  // absolute
    std::string value;
    std::vector<std::string> permissions;  // "n5"
  };
  struct Node {
    std::string value;
    std::vector<std::string> permissions;
    bool operator==(const Node&) const = default;
  };
  using Tree = std::map<std::string, Node>;

  explicit StoreModel(Tree tree) : tree_(std::move(tree)) {}

  // Answers as StoreConversation gives them. `transaction` 0: none.
  std::string ask(const Request& request, int transaction = 0);
  int begin();
  std::string commit(int transaction);
  void abort(int transaction) { transactions_.erase(transaction); }

  // Paths of which a watch of `domain` on `watched` has heard since the last call of
  // forget_events().
  [[nodiscard]] std::set<std::string> events(int domain, const std::string& watched) const;
  void forget_events() { changes_.clear(); }

  [[nodiscard]] const Tree& tree() const { return tree_; }

 private:
  struct Change {
    std::string path;
    bool exact_only;
    std::vector<std::vector<std::string>> permissions;  // of whom may see it: one of these
  };
  struct Transaction {
    Tree tree;
    uint64_t begun;
    std::set<std::string> seen;  // present or absent: the outcome depends on it
    std::vector<Request> requests;
  };
  struct Effects {
    std::set<std::string> seen;
    std::set<std::string> touched;                   // node or its list of children
    std::vector<std::pair<std::string, bool>> told;  // path, exact_only
  };

  static std::string apply(Tree& tree, const Request& request, Effects& effects);
  static std::string change(Tree& tree, const Request& request, Effects& effects);
  void settle(const Tree& before, const Effects& effects);

  Tree tree_;
  uint64_t clock_ = 0;
  std::map<std::string, uint64_t> touched_at_;
  int last_transaction_ = 0;
  std::map<int, Transaction> transactions_;
  std::vector<Change> changes_;
};

}  // namespace splitring::test
