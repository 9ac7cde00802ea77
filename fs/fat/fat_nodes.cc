#include "fs/fat/fat_nodes.h"

#include <algorithm>
#include <cassert>

namespace splitring {
namespace {

// Numbers by place end below: 32 bits of cluster, 23 of slot.
constexpr uint64_t kFirstExtra = uint64_t{1} << 56;
constexpr uint64_t kFirstByPlace = 2;

}  // namespace

FatNodes::FatNodes(const FatFacts& root) : next_extra_(kFirstExtra) {
  root_.node = kFatRoot;
  root_.references = 1;
  root_.facts = root;
}

FatNodeState* FatNodes::find(FatNode node) {
  if (node == kFatRoot) return &root_;
  const auto found = nodes_.find(static_cast<uint64_t>(node));
  return found == nodes_.end() ? nullptr : found->second.get();
}

FatNodeState* FatNodes::find(FatPlace place) {
  const auto found = by_place_.find(key(place));
  return found == by_place_.end() ? nullptr : found->second;
}

FatNodeState& FatNodes::get(FatNodeState& parent, FatPlace place, const FatFacts& facts) {
  if (FatNodeState* known = find(place)) {
    known->references++;
    return *known;
  }
  uint64_t number = key(place) + kFirstByPlace;
  // A removed or moved file may still have the number of its old place.
  if (nodes_.contains(number)) number = next_extra_++;
  auto& made = nodes_[number];
  made = std::make_unique<FatNodeState>();
  made->node = FatNode{number};
  made->parent = &parent;
  made->place = place;
  made->facts = facts;
  made->references = 1;
  parent.references++;
  by_place_[key(place)] = made.get();
  return *made;
}

void FatNodes::move(FatNodeState& node, FatNodeState& parent, FatPlace place) {
  by_place_.erase(key(node.place));
  node.place = place;
  by_place_[key(place)] = &node;
  if (node.parent == &parent) return;
  FatNodeState& old = *node.parent;
  parent.references++;
  node.parent = &parent;
  drop(old, 1);
}

void FatNodes::remove(FatNodeState& node) {
  by_place_.erase(key(node.place));
  node.removed = true;
}

void FatNodes::drop(FatNodeState& node, uint64_t references) {
  // The root's own reference is nobody's to give up.
  const uint64_t own = &node == &root_ ? 1 : 0;
  node.references -= std::min(references, node.references - own);
  release(node);
}

void FatNodes::release(FatNodeState& node) {
  FatNodeState* unused = &node;
  while (unused != &root_ && unused->references == 0 && unused->opens == 0) {
    FatNodeState* parent = unused->parent;
    if (!unused->removed) by_place_.erase(key(unused->place));
    nodes_.erase(static_cast<uint64_t>(unused->node));
    parent->references--;
    unused = parent;
  }
}

}  // namespace splitring
