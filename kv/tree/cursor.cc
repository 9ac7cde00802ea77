#include "kv/tree/cursor.h"

#include <algorithm>

#include "kv/tree/payload.h"

namespace splitring::kv {
namespace {

// The first text that is greater than all that begin with `prefix`; empty: there is none.
std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

}  // namespace

KeyRange KeyRange::prefix(std::string_view prefix) {
  KeyRange range{.from = std::string(prefix), .to = end_of_prefix(prefix)};
  if (range.to->empty()) range.to.reset();
  return range;
}

TreeCursor::TreeCursor(const Sight& sight, PageReader& reader, uint32_t tree, const KeyRange& range)
    : live_(sight.sequence == UINT64_MAX ? sight.active : nullptr),
      bounds_(bounds_of(sight.branch, tree, range)),
      tree_(sight.root, reader, in_page(bounds_->from), in_page(bounds_->to)),
      memory_{MemtablePosition(sight.active, sight.sequence, bounds_->from, bounds_->to),
              MemtablePosition(sight.frozen, sight.sequence, bounds_->from, bounds_->to)} {}

std::unique_ptr<TreeCursor::Bounds> TreeCursor::bounds_of(uint32_t branch, uint32_t tree,
                                                          const KeyRange& range) {
  auto bounds = std::make_unique<Bounds>();
  append_be32(bounds->from, branch);
  append_be32(bounds->from, tree);
  bounds->to = range.to ? bounds->from + *range.to : end_of_prefix(bounds->from);
  bounds->from += range.from;
  return bounds;
}

// Without its branch; of what is behind the branch's last tree: nothing.
std::string TreeCursor::in_page(std::string_view bound) {
  return std::string(bound.substr(std::min(kBranchBytes, bound.size())));
}

std::string TreeCursor::full(std::string_view key) const {
  return std::string(realm()).append(key);
}

// Forward: not before `full_key`. Backward: before it.
Result<bool> TreeCursor::go(std::string_view full_key, bool forward) {
  forward_ = forward;
  if (live_ != nullptr) changes_ = live_->changes();
  for (MemtablePosition& place : memory_) place.seek(full_key, forward);
  const std::string_view page_key = full_key.substr(kBranchBytes);
  TRY_VOID(forward ? tree_.seek(page_key) : tree_.seek_before(page_key));
  return settle();
}

int TreeCursor::compare(const Memtable::Node& a, const Memtable::Node& b) const {
  const int order =
      a.head() != b.head() ? (a.head() < b.head() ? -1 : 1) : a.key().compare(b.key());
  return forward_ ? order : -order;
}

int TreeCursor::compare_tree(const Memtable::Node& node) const {
  const std::string_view key = tree_.key().substr(kTreeBytes);
  const uint64_t head = order_of(key);
  const int order = head != node.head() ? (head < node.head() ? -1 : 1)
                                        : key.compare(node.key().substr(kRealmBytes));
  return forward_ ? order : -order;
}

const MemtablePosition* TreeCursor::nearest_in_memory() {
  const auto& [newer, older] = memory_;
  stands_ = {newer.valid(), older.valid()};
  if (!newer.valid() || !older.valid())
    return newer.valid() ? &newer : older.valid() ? &older : nullptr;
  const int order = compare(newer.node(), older.node());
  stands_ = {order <= 0, order >= 0};
  return order <= 0 ? &newer : &older;
}

Result<bool> TreeCursor::settle() {
  while (true) {
    // The nearest key, of the newest source that has it.
    const MemtablePosition* const place = nearest_in_memory();
    const int order = !tree_.valid() ? 1 : place == nullptr ? -1 : compare_tree(place->node());
    tree_stands_ = tree_.valid() && order <= 0;
    tree_leads_ = order < 0 && forward_ && live_ == nullptr;
    if (order < 0) {
      stands_ = {};
      node_ = nullptr;
      nearest_head_ = place != nullptr ? place->node().head() : UINT64_MAX;
      return valid_ = true;
    }
    if (place == nullptr) return valid_ = false;
    node_ = &place->node();
    if (place->version().kind == ChangeKind::kPut) {
      payload_ = place->version().payload();
      return valid_ = true;
    }
    TRY_VOID(step());
  }
}

// Every source that stands at the present key moves on.
Result<> TreeCursor::step() {
  const bool changed = live_ != nullptr && changes_ != live_->changes();
  if (changed) {
    // Between the key and where the memtable was going to be next there may be others now.
    changes_ = live_->changes();
    const std::string present = full(key());
    memory_[0].seek(forward_ ? present + '\0' : present, forward_);
  }
  for (size_t i = changed ? 1 : 0; i < memory_.size(); i++)
    if (stands_[i]) memory_[i].step(forward_);
  if (tree_stands_) TRY_VOID(forward_ ? tree_.next() : tree_.previous());
  return {};
}

Result<bool> TreeCursor::seek(std::string_view key) {
  return go(std::max(full(key), bounds_->from), true);
}

Result<bool> TreeCursor::seek_back(std::string_view key) {
  // The last that is before what comes directly behind `key`.
  const std::string behind = full(key) + '\0';
  return go(bounds_->to.empty() ? behind : std::min(behind, bounds_->to), false);
}

Result<bool> TreeCursor::first() { return go(bounds_->from, true); }

Result<bool> TreeCursor::last() {
  if (bounds_->to.starts_with(realm())) return go(bounds_->to, false);
  // Behind every key of the tree; longer than any key in case there is no next tree.
  return go(full(std::string(kMaxUserKeyBytes + 1, '\xff')), false);
}

Result<bool> TreeCursor::next_of_all() {
  if (!forward_) return go(full(key()) + '\0', true);
  TRY_VOID(step());
  return settle();
}

Result<bool> TreeCursor::previous() {
  assert(valid_);
  if (forward_) return go(full(key()), false);
  TRY_VOID(step());
  return settle();
}

}  // namespace splitring::kv
