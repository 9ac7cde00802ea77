// Fills a memtable with what a replay found, before anybody else sees it: what the ring was read
// into is shown where it is, and sorted once, at the end. A search of the list for each key and a
// copy of it would be most of the time that an open takes.
#pragma once

#include "kv/tree/key_order.h"
#include "kv/tree/large_memory.h"
#include "kv/tree/memtable.h"

namespace splitring::kv {

class MemtableFill {
 public:
  // `most`: changes that may come. The memtable is empty, and outlives this. kLimit: no memory.
  static Result<MemtableFill> begin(Memtable& memtable, uint64_t most);

  // Precondition: sequences do not decrease.
  void add(std::string_view key, ChangeKind kind, Bytes payload, uint64_t sequence);
  // Now all of it can be found. `shown`: the memory that keys and payloads lie in; the memtable
  // keeps it.
  void finish(LargeMemory shown);

 private:
  using Sort = KeySort<Memtable::Node>;

  MemtableFill(Memtable& memtable, LargeMemory items, LargeMemory spare)
      : memtable_(&memtable), items_(std::move(items)), spare_(std::move(spare)) {}
  [[nodiscard]] std::span<Sort::Item> sorted();

  Memtable* memtable_;
  LargeMemory items_;  // a node for each change
  LargeMemory spare_;
  size_t count_ = 0;
};

}  // namespace splitring::kv
