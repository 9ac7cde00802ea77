// A place in a memtable: at a key of which one reader sees something, within bounds, or at none.
//
// Belongs to one thread; the memtable stays as long as whoever made it sees to that. The list is
// live: what is put behind the present key meanwhile is found by a step() forward from it.
#pragma once

#include <string>
#include <string_view>

#include "kv/tree/memtable.h"

namespace splitring::kv {

// Keys as in memory.
class MemtablePosition {
 public:
  // Of the keys from `from` on and before `to`, which outlive it; `to` empty: to the last.
  // `memtable` null: of none.
  MemtablePosition(const Memtable* memtable, uint64_t sequence, std::string_view from,
                   std::string_view to)
      : memtable_(memtable), sequence_(sequence), from_(from), to_(to), has_end_(!to.empty()) {}

  // Forward: to the first key that is not before `key`. Backward: to the last that is.
  void seek(std::string_view key, bool forward);
  // Precondition: valid().
  void step(bool forward);

  [[nodiscard]] bool valid() const { return node_ != nullptr; }
  // Precondition: valid().
  [[nodiscard]] const Memtable::Node& node() const { return *node_; }
  [[nodiscard]] const Memtable::Version& version() const { return *version_; }

 private:
  void settle(const Memtable::Node* node, bool forward);

  const Memtable* memtable_;
  uint64_t sequence_;
  Memtable::Place from_;
  Memtable::Place to_;
  bool has_end_;
  const Memtable::Node* node_ = nullptr;
  const Memtable::Version* version_ = nullptr;  // of it, that the reader sees
};

}  // namespace splitring::kv
