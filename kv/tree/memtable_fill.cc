#include "kv/tree/memtable_fill.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace splitring::kv {
namespace {

template <class Item>
Item* items_in(const LargeMemory& memory) {
  return reinterpret_cast<Item*>(memory.bytes().data());
}

}  // namespace

Result<MemtableFill> MemtableFill::begin(Memtable& memtable, uint64_t most) {
  const size_t bytes = std::max<uint64_t>(most, 1) * sizeof(Sort::Item);
  LargeMemory items = TRY(LargeMemory::reserve(bytes));
  return MemtableFill(memtable, std::move(items), TRY(LargeMemory::reserve(bytes)));
}

void MemtableFill::add(std::string_view key, ChangeKind kind, Bytes payload, uint64_t sequence) {
  assert((count_ + 1) * sizeof(Sort::Item) <= items_.bytes().size());
  Memtable::Node* const node = memtable_->make_node(key);
  node->newest_.store(memtable_->make_version(kind, payload, sequence), std::memory_order_relaxed);
  items_in<Sort::Item>(items_)[count_++] = {node->head_, node};
}

std::span<MemtableFill::Sort::Item> MemtableFill::sorted() {
  const std::span items(items_in<Sort::Item>(items_), count_);
  const std::span spare(items_in<Sort::Item>(spare_), count_);
  const uint64_t realm = items.front().owner->realm_;
  const bool one_realm = std::ranges::all_of(
      items, [&](const Sort::Item& item) { return item.owner->realm_ == realm; });
  if (!one_realm)
    for (Sort::Item& item : items) item.head = item.owner->realm_;
  Sort::sort(items, one_realm ? kBranchBytes + kTreeBytes : 0, spare);
  return items;
}

void MemtableFill::finish(LargeMemory shown) {
  if (count_ == 0) return;
  const std::span items = sorted();
  memtable_->use_table(std::bit_ceil(count_ * 2 + 1));
  std::atomic<Memtable::Node*>* ends[Memtable::kLevels];
  for (size_t level = 0; level < Memtable::kLevels; level++)
    ends[level] = &memtable_->first_[level];
  Memtable::Node* last = nullptr;
  // What is looked at may be anywhere in memory: it is asked for ahead.
  constexpr size_t kAhead = 8;
  for (size_t i = 0; i < items.size(); i++) {
    if (i + 2 * kAhead < items.size()) __builtin_prefetch(items[i + 2 * kAhead].owner);
    if (i + kAhead < items.size()) memtable_->prefetch_slot(*items[i + kAhead].owner);
    Memtable::Node* const node = items[i].owner;
    if (last != nullptr && last->hash_ == node->hash_ && last->key() == node->key()) {
      memtable_->hang_on(*last, *node->newest_.load(std::memory_order_relaxed));
      continue;
    }
    last = node;
    for (size_t level = 0; level < node->levels_; level++) {
      ends[level]->store(node, std::memory_order_release);
      ends[level] = &node->links()[level];
    }
    memtable_->add_to_table(*node);
  }
  memtable_->changes_.store(count_, std::memory_order_relaxed);
  memtable_->keep(std::move(shown));
}

}  // namespace splitring::kv
