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
#include <cassert>
#include <optional>
#include <string>

#include "kv/tree/key_order.h"
#include "kv/tree/memtable_position.h"
#include "kv/tree/store_state.h"
#include "kv/tree/tree_position.h"

namespace splitring::kv {

// Keys from `from` on and before `to`; without `to`, to the end.
struct KeyRange {
  std::string from;
  std::optional<std::string> to;

  [[nodiscard]] static KeyRange all() { return {}; }
  [[nodiscard]] static KeyRange prefix(std::string_view prefix);
};

class TreeCursor {
 public:
  TreeCursor(const Sight& sight, PageReader& reader, uint32_t tree, const KeyRange& range);
  TreeCursor(TreeCursor&&) noexcept = default;

  // Each says whether there is a key there.
  Result<bool> first();
  Result<bool> last();
  // The first key of the range that is not before `key`; the last one that is not behind it.
  Result<bool> seek(std::string_view key);
  Result<bool> seek_back(std::string_view key);
  // Precondition: valid().
  Result<bool> next() {
    assert(valid_);
    // Most often it is the next entry of a leaf, and no memtable has anything before it.
    if (!tree_leads_ || !tree_.next_in_leaf()) return next_of_all();
    if (order_of(tree_.key().substr(kTreeBytes)) < nearest_head_) return true;
    return settle();
  }
  Result<bool> previous();

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] std::string_view key() const {
    return node_ != nullptr ? node_->key().substr(kRealmBytes) : tree_.key().substr(kTreeBytes);
  }
  // As it is stored; payload.h reads it.
  [[nodiscard]] Bytes payload() const { return node_ != nullptr ? payload_ : tree_.payload(); }

 private:
  static constexpr size_t kRealmBytes = kBranchBytes + kTreeBytes;
  // As in memory: with branch and tree.
  struct Bounds {
    std::string from;
    std::string to;  // empty: none
  };

  Result<bool> go(std::string_view full_key, bool forward);
  Result<bool> next_of_all();
  Result<> step();
  // The nearest of all sources becomes the present one; removed keys are passed over.
  Result<bool> settle();
  // The nearest of the memtables' places, or null; stands_ says which of them are there.
  const MemtablePosition* nearest_in_memory();
  // Which is nearer in the present direction; 0: it is the same key.
  [[nodiscard]] int compare(const Memtable::Node& a, const Memtable::Node& b) const;
  [[nodiscard]] int compare_tree(const Memtable::Node& node) const;
  static std::unique_ptr<Bounds> bounds_of(uint32_t branch, uint32_t tree, const KeyRange& range);
  static std::string in_page(std::string_view bound);
  // Branch and tree.
  [[nodiscard]] std::string_view realm() const {
    return std::string_view(bounds_->from).substr(0, kRealmBytes);
  }
  [[nodiscard]] std::string full(std::string_view key) const;

  const Memtable* live_;  // the one that its transaction changes; null: it is a view's
  uint64_t changes_ = 0;  // of that, when its place was looked for
  std::unique_ptr<const Bounds> bounds_;  // does not move: places show it
  TreePosition tree_;
  std::array<MemtablePosition, 2> memory_;  // the newer first
  std::array<bool, 2> stands_{};            // at the present key: each of those
  bool tree_stands_ = false;                // and the tree
  bool forward_ = true;
  bool valid_ = false;
  // The tree alone is there, the cursor goes forward, and nothing is changed meanwhile.
  bool tree_leads_ = false;
  uint64_t nearest_head_ = 0;             // then: what no memtable has anything before
  const Memtable::Node* node_ = nullptr;  // the present one; null: it is the tree's
  Bytes payload_;
};

}  // namespace splitring::kv
