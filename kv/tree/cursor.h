// Keys in order, both ways, within a range: memtables and tree as one.
//
//   TreeCursor cursor = view.cursor(tree, KeyRange::prefix("user/"));
//   for (bool more = TRY(cursor.first()); more; more = TRY(cursor.next()))
//     use(cursor.key(), cursor.item());
//
// Belongs to the thread of its session, and does not outlive the view or transaction that it came
// from. In a transaction it sees what is written while it goes. key() and item() are valid until
// the next move. Errors: the medium's, a damaged page.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "kv/tree/lookup.h"

namespace splitring::kv {

// Keys from `from` on and before `to`; without `to`, to the end.
struct KeyRange {
  std::string from;
  std::optional<std::string> to;

  [[nodiscard]] static KeyRange all() { return {}; }
  [[nodiscard]] static KeyRange prefix(std::string_view prefix);
};

// A place in a tree of pages, at an entry of a copy of a leaf; or at none. Keys as in a page.
class TreePosition {
 public:
  TreePosition(const Root& root, PageReader& reader);
  TreePosition(TreePosition&&) noexcept = default;

  // The first entry that is not before `key`; the last that is before it.
  Result<> seek(std::string_view key);
  Result<> seek_before(std::string_view key);
  Result<> next();
  Result<> previous();

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] Bytes payload() const { return view().payload(index_); }

 private:
  struct Step {
    Pointer pointer;
    size_t index = 0;
  };
  [[nodiscard]] PageView view() const { return PageView(leaf_.get()); }
  Result<> descend(Pointer pointer, unsigned level, std::string_view key, bool last);
  Result<> neighbour(bool forward);
  void settle();

  Root root_;
  PageReader* reader_;
  std::vector<Step> steps_;  // root first, the leaf's parent last
  std::unique_ptr<std::byte[]> leaf_;
  size_t index_ = 0;
  bool valid_ = false;
  std::string key_;
};

class TreeCursor {
 public:
  TreeCursor(const Sight& sight, PageReader& reader, uint32_t tree, KeyRange range);

  // Each says whether there is a key there.
  Result<bool> first();
  Result<bool> last();
  // The first key of the range that is not before `key`; the last one that is not behind it.
  Result<bool> seek(std::string_view key);
  Result<bool> seek_back(std::string_view key);
  // Precondition: valid().
  Result<bool> next();
  Result<bool> previous();

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] std::string_view key() const {
    return node_ != nullptr ? node_->key().substr(kRealmBytes) : tree_.key().substr(kTreeBytes);
  }
  // As it is stored; payload.h reads it.
  [[nodiscard]] Bytes payload() const { return payload_; }

 private:
  Result<bool> go(std::string_view full_key, bool forward);
  // The nearest of all sources becomes the present one; removed keys are passed over.
  Result<bool> settle();
  // The nearest of the memtables' nodes, or null; stands_ says which of them are there.
  const Memtable::Node* nearest_node();
  Result<> step_past_key();
  const Memtable::Node* visible_from(const Memtable::Node* node, const Memtable& memtable) const;
  [[nodiscard]] bool is_nearer(std::string_view key, std::string_view other) const {
    return forward_ ? key < other : key > other;
  }
  // Of a key without branch and tree, which are the cursor's.
  [[nodiscard]] bool in_range(std::string_view key) const {
    return key >= range_.from && (!range_.to || key < *range_.to);
  }

  Sight sight_;
  static constexpr size_t kRealmBytes = kBranchBytes + kTreeBytes;
  std::string realm_;  // branch and tree
  KeyRange range_;
  TreePosition tree_;
  std::array<const Memtable*, 2> memtables_;      // the newer first
  std::array<const Memtable::Node*, 2> nodes_{};  // each within the range
  std::array<bool, 2> stands_{};                  // at the present key: each of nodes_
  bool tree_stands_ = false;                      // and the tree
  bool forward_ = true;
  bool valid_ = false;
  const Memtable::Node* node_ = nullptr;  // the present one; null: it is the tree's
  Bytes payload_;
};

}  // namespace splitring::kv
