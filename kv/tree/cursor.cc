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

// From `node` on in the present direction, the first that this reader sees anything of.
const Memtable::Node* TreeCursor::visible_from(const Memtable::Node* node,
                                               const Memtable& memtable) const {
  while (node != nullptr) {
    const std::string_view key = node->key();
    if (!key.starts_with(realm_) || !in_range(key.substr(kRealmBytes))) return nullptr;
    if (node->at(sight_.sequence) != nullptr) return node;
    node = forward_ ? node->next() : memtable.before(key);
  }
  return nullptr;
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

const Memtable::Node* TreeCursor::nearest_node() {
  const auto [newer, older] = nodes_;
  stands_ = {newer != nullptr, older != nullptr};
  if (newer == nullptr || older == nullptr) return newer != nullptr ? newer : older;
  stands_ = {!is_nearer(older->key(), newer->key()), !is_nearer(newer->key(), older->key())};
  return stands_[0] ? newer : older;
}

Result<bool> TreeCursor::settle() {
  const auto tree_realm = std::string_view(realm_).substr(kBranchBytes);
  while (true) {
    // The nearest key, of the newest source that has it.
    const Memtable::Node* const node = nearest_node();
    const std::string_view node_key =
        node != nullptr ? node->key().substr(kRealmBytes) : std::string_view();
    const bool has_tree = tree_.valid() && tree_.key().starts_with(tree_realm) &&
                          in_range(tree_.key().substr(kTreeBytes));
    if (has_tree) {
      const std::string_view tree_key = tree_.key().substr(kTreeBytes);
      tree_stands_ = node == nullptr || !is_nearer(node_key, tree_key);
      if (node == nullptr || is_nearer(tree_key, node_key)) {
        stands_ = {};
        node_ = nullptr;
        payload_ = tree_.payload();
        return valid_ = true;
      }
    } else {
      tree_stands_ = false;
      if (node == nullptr) return valid_ = false;
    }
    node_ = node;
    const Memtable::Version* const version = node->at(sight_.sequence);
    if (version != nullptr && version->kind == ChangeKind::kPut) {
      payload_ = version->payload();
      return valid_ = true;
    }
    TRY_VOID(step_past_key());
  }
}

// Every source that stands at the present key moves on.
Result<> TreeCursor::step_past_key() {
  for (size_t i = 0; i < nodes_.size(); i++)
    if (stands_[i])
      nodes_[i] = visible_from(
          forward_ ? nodes_[i]->next() : memtables_[i]->before(nodes_[i]->key()), *memtables_[i]);
  if (tree_stands_) TRY_VOID(forward_ ? tree_.next() : tree_.previous());
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
  if (!forward_) return go(realm_ + std::string(key()) + '\0', true);
  // What was written behind the last key meanwhile is found: the lists are live.
  TRY_VOID(step_past_key());
  return settle();
}

Result<bool> TreeCursor::previous() {
  assert(valid_);
  if (forward_) return go(realm_ + std::string(key()), false);
  TRY_VOID(step_past_key());
  return settle();
}

}  // namespace splitring::kv
