#include "kv/tree/cursor.h"

#include <algorithm>
#include <cassert>

namespace splitring::kv {

KeyRange KeyRange::prefix(std::string_view prefix) {
  KeyRange range{.from = std::string(prefix), .to = std::string(prefix)};
  while (!range.to->empty() && static_cast<uint8_t>(range.to->back()) == 0xff) range.to->pop_back();
  if (range.to->empty())
    range.to.reset();
  else
    range.to->back() = static_cast<char>(static_cast<uint8_t>(range.to->back()) + 1);
  return range;
}

TreeCursor::TreeCursor(const Sight& sight, PageReader& reader, uint32_t tree, KeyRange range)
    : sight_(sight),
      range_(std::move(range)),
      tree_(sight.root, reader),
      memtables_{sight.active, sight.frozen} {
  append_be32(realm_, sight.branch);
  append_be32(realm_, tree);
}

bool TreeCursor::in_tree(std::string_view key) const {
  if (!key.starts_with(realm_)) return false;
  key.remove_prefix(realm_.size());
  return key >= range_.from && (!range_.to || key < *range_.to);
}

// From `node` on in the present direction, the first that this reader sees anything of.
const Memtable::Node* TreeCursor::visible_from(const Memtable::Node* node,
                                               const Memtable& memtable) const {
  while (node != nullptr && in_tree(node->key()) && node->at(sight_.sequence) == nullptr)
    node = forward_ ? node->next() : memtable.before(node->key());
  return node != nullptr && in_tree(node->key()) ? node : nullptr;
}

// Forward: not before `full_key`. Backward: before it.
Result<bool> TreeCursor::go(std::string_view full_key, bool forward) {
  forward_ = forward;
  for (size_t i = 0; i < memtables_.size(); i++) {
    const Memtable* const memtable = memtables_[i];
    nodes_[i] = nullptr;
    if (memtable == nullptr || memtable->empty()) continue;
    nodes_[i] = visible_from(forward ? memtable->lower_bound(full_key) : memtable->before(full_key),
                             *memtable);
  }
  const std::string_view page_key = full_key.substr(kBranchBytes);
  TRY_VOID(forward ? tree_.seek(page_key) : tree_.seek_before(page_key));
  return settle();
}

Result<bool> TreeCursor::settle() {
  while (true) {
    // The nearest key, of the newest source that has it.
    const Memtable::Node* winner = nullptr;
    for (const Memtable::Node* const node : nodes_) {
      if (node == nullptr) continue;
      if (winner == nullptr ||
          (forward_ ? node->key() < winner->key() : node->key() > winner->key()))
        winner = node;
    }
    const bool has_tree =
        tree_.valid() && tree_.key().starts_with(std::string_view(realm_).substr(kBranchBytes));
    bool tree_wins = winner == nullptr;
    if (!tree_wins && has_tree) {
      const int order = tree_.key().compare(winner->key().substr(kBranchBytes));
      tree_wins = forward_ ? order < 0 : order > 0;
    }
    if (tree_wins) {
      valid_ = false;
      if (!has_tree) return false;
      key_.assign(realm_, 0, kBranchBytes);
      key_.append(tree_.key());
      if (!in_tree(key_)) return false;
      payload_ = tree_.payload();
      valid_ = true;
      return true;
    }
    key_.assign(winner->key());
    const Memtable::Version* const version = winner->at(sight_.sequence);
    if (version != nullptr && version->kind == ChangeKind::kPut) {
      payload_ = version->payload();
      valid_ = true;
      return true;
    }
    TRY_VOID(step_past_key());
  }
}

// Every source that stands at the present key moves on.
Result<> TreeCursor::step_past_key() {
  for (size_t i = 0; i < nodes_.size(); i++)
    if (nodes_[i] != nullptr && nodes_[i]->key() == key_)
      nodes_[i] = visible_from(
          forward_ ? nodes_[i]->next() : memtables_[i]->before(nodes_[i]->key()), *memtables_[i]);
  if (tree_.valid() && tree_.key() == std::string_view(key_).substr(kBranchBytes))
    TRY_VOID(forward_ ? tree_.next() : tree_.previous());
  return {};
}

Result<bool> TreeCursor::seek(std::string_view key) {
  return go(realm_ + std::string(std::max(key, std::string_view(range_.from))), true);
}

Result<bool> TreeCursor::seek_back(std::string_view key) {
  // The last that is before what comes directly behind `key`.
  std::string behind(key);
  behind += '\0';
  if (range_.to && *range_.to < behind) behind = *range_.to;
  return go(realm_ + behind, false);
}

Result<bool> TreeCursor::first() { return go(realm_ + range_.from, true); }

Result<bool> TreeCursor::last() {
  if (range_.to) return go(realm_ + *range_.to, false);
  // Behind every key of the tree; longer than any key in case there is no next tree.
  return go(realm_ + std::string(kMaxUserKeyBytes + 1, '\xff'), false);
}

Result<bool> TreeCursor::next() {
  assert(valid_);
  if (!forward_) return go(std::string(key_) + '\0', true);
  // What was written behind the last key meanwhile is found: the lists are live.
  TRY_VOID(step_past_key());
  return settle();
}

Result<bool> TreeCursor::previous() {
  assert(valid_);
  if (forward_) return go(std::string(key_), false);
  TRY_VOID(step_past_key());
  return settle();
}

}  // namespace splitring::kv
