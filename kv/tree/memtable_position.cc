#include "kv/tree/memtable_position.h"

namespace splitring::kv {
namespace {

// What the next steps look at may be anywhere in memory: it is asked for ahead.
void prefetch_behind(const Memtable::Node& node) {
  const Memtable::Node* const next = node.next();
  if (next == nullptr) return;
  __builtin_prefetch(next->newest());
  __builtin_prefetch(next->key().data());
  __builtin_prefetch(next->next());
}

}  // namespace

// From `node` on, the first that the reader sees anything of.
void MemtablePosition::settle(const Memtable::Node* node, bool forward) {
  while (node != nullptr) {
    if (forward ? has_end_ && !to_.is_behind(*node) : from_.is_behind(*node)) break;
    version_ = node->at(sequence_);
    if (version_ != nullptr) {
      node_ = node;
      return;
    }
    node = forward ? node->next() : memtable_->before(node->key());
  }
  node_ = nullptr;
}

void MemtablePosition::seek(std::string_view key, bool forward) {
  node_ = nullptr;
  if (memtable_ == nullptr || memtable_->empty()) return;
  settle(forward ? memtable_->lower_bound(key) : memtable_->before(key), forward);
}

void MemtablePosition::step(bool forward) {
  if (forward) prefetch_behind(*node_);
  settle(forward ? node_->next() : memtable_->before(node_->key()), forward);
}

}  // namespace splitring::kv
