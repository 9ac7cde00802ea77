// The nodes of a mounted volume that somebody refers to: what a handle stands for.
//
// A node is known by its number and, as long as its entry is there, by the entry's place. Not
// thread-safe but for FatNodeState::io: FatVolume's lock is held in every call.
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "fs/fat/fat_chain.h"
#include "fs/fat/fat_facts.h"
#include "fs/fat/fat_types.h"

namespace splitring {

// Where an entry's own slot lies.
struct FatPlace {
  uint32_t directory = 0;  // its first cluster; 0: the fixed root
  uint32_t own = 0;
  bool operator==(const FatPlace&) const = default;
};

struct FatNodeState {
  FatNode node{};
  FatNodeState* parent = nullptr;  // null of the root; kept as long as this one is
  FatPlace place;                  // unless removed, or the root
  FatFacts facts;                  // as in the directory; of the root: a directory's
  bool removed = false;
  uint64_t references = 0;  // of callers, and of children
  uint32_t opens = 0;

  // Of a file that is open, or has been.
  bool has_chain = false;
  FatChain chain;
  std::vector<FatRun> reserved;        // taken, but in no chain yet
  uint64_t cut_in_cycle = UINT64_MAX;  // made shorter, which is durable after that cycle only

  // Taken before the volume's lock: shared by who reads bytes, alone by who changes them.
  std::shared_mutex io;

  [[nodiscard]] bool is_directory() const { return facts.is_directory(); }
};

class FatNodes {
 public:
  explicit FatNodes(const FatFacts& root);

  [[nodiscard]] FatNodeState& root() { return root_; }
  [[nodiscard]] FatNodeState* find(FatNode node);
  [[nodiscard]] FatNodeState* find(FatPlace place);
  // The node of an entry, known or new, with a reference more.
  FatNodeState& get(FatNodeState& parent, FatPlace place, const FatFacts& facts);
  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& [number, node] : nodes_) visit(*node);
  }

  void move(FatNodeState& node, FatNodeState& parent, FatPlace place);
  void remove(FatNodeState& node);  // its entry is gone
  void drop(FatNodeState& node, uint64_t references);
  // Forgets it, and parents with it, if nobody refers to it.
  void release(FatNodeState& node);

 private:
  // A directory of exFAT has at most 2^23 slots.
  static uint64_t key(FatPlace place) { return uint64_t{place.directory} << 23 | place.own; }

  FatNodeState root_;
  std::unordered_map<uint64_t, std::unique_ptr<FatNodeState>> nodes_;
  std::unordered_map<uint64_t, FatNodeState*> by_place_;
  uint64_t next_extra_;
};

}  // namespace splitring
