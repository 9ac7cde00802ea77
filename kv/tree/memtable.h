// What was committed and is not in a tree yet: keys with their versions, in memory.
//
// One thread at a time writes (whoever holds the store's writer lock); any number read meanwhile,
// without a lock: everything is published by an atomic store and nothing moves or goes away before
// the whole memtable does. A version is of a transaction's sequence number; a reader sees those up
// to its own. Versions of a transaction that is rolled back are unhooked; somebody may still be
// looking at them, so their memory stays until the memtable goes: when that is a good deal, what
// counts is copied to another one.
//
// In order: a skip list. By key: a hash table beside it, which a get looks at alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "kv/tree/large_memory.h"
#include "kv/tree/page.h"

namespace splitring::kv {

enum class ChangeKind : uint8_t {
  kPut = 1,
  kRemove = 2,
  kMoved = 3,  // removed, and what it named elsewhere has another name now
};

class Memtable {
 public:
  struct Version {
    uint64_t sequence;
    Version* older;
    const std::byte* at;
    uint32_t bytes;
    ChangeKind kind;
    [[nodiscard]] Bytes payload() const { return {at, bytes}; }
  };

  class Node {
   public:
    [[nodiscard]] std::string_view key() const { return {key_, key_bytes_}; }
    // order_of() what is behind branch and tree.
    [[nodiscard]] uint64_t head() const { return head_; }
    [[nodiscard]] const Version* newest() const { return newest_.load(std::memory_order_acquire); }
    // The newest one that a reader at `sequence` sees; null: none.
    [[nodiscard]] const Version* at(uint64_t sequence) const {
      const Version* version = newest();
      while (version != nullptr && version->sequence > sequence) version = version->older;
      return version;
    }
    [[nodiscard]] const Node* next() const { return link(0).load(std::memory_order_acquire); }

   private:
    friend class Memtable;
    friend class MemtableFill;
    // One for each level, directly behind the node.
    [[nodiscard]] const std::atomic<Node*>* links() const {
      return reinterpret_cast<const std::atomic<Node*>*>(this + 1);
    }
    [[nodiscard]] std::atomic<Node*>* links() {
      return reinterpret_cast<std::atomic<Node*>*>(this + 1);
    }
    [[nodiscard]] const std::atomic<Node*>& link(size_t level) const { return links()[level]; }

    // The order of keys, as far as two numbers tell it: branch and tree; the first eight bytes
    // behind them. So a search looks at few keys.
    uint64_t realm_ = 0;
    uint64_t head_ = 0;
    std::atomic<Version*> newest_{nullptr};
    uint64_t hash_ = 0;
    const char* key_ = nullptr;
    uint32_t key_bytes_ = 0;
    uint32_t levels_ = 0;
  };

  // Where a key is or would be: what it is compared by, and the key itself, which outlives this.
  struct Place {
    explicit Place(std::string_view key);
    // Few keys are looked at: the order is that of the two numbers first.
    [[nodiscard]] bool is_behind(const Node& node) const {
      if (node.realm_ != realm) return node.realm_ < realm;
      if (node.head_ != head) return node.head_ < head;
      return node.key() < key;
    }
    uint64_t realm;
    uint64_t head;
    std::string_view key;
  };

  Memtable();
  ~Memtable();
  Memtable(const Memtable&) = delete;
  Memtable& operator=(const Memtable&) = delete;

  // The writer's.
  Node& put(std::string_view key, ChangeKind kind, Bytes payload, uint64_t sequence);
  // Takes away the newest version. Precondition: of the transaction that is being rolled back.
  void unhook(Node& node);
  // So much of what was taken is of a transaction that was rolled back.
  void waste(uint64_t bytes) { wasted_.store(wasted() + bytes, std::memory_order_relaxed); }
  // Whether a copy is worth its work, which is in proportion to bytes().
  [[nodiscard]] bool is_worth_copying() const { return wasted() > std::max(kMostWasted, bytes()); }
  // All of it, but what was rolled back; nothing of it is visible yet. The writer's.
  [[nodiscard]] std::shared_ptr<Memtable> copy() const;

  // Anyone's.
  [[nodiscard]] const Node* find(std::string_view key) const;
  // The first whose key is not less; null: none.
  [[nodiscard]] const Node* lower_bound(std::string_view key) const;
  // The last whose key is less; null: none.
  [[nodiscard]] const Node* before(std::string_view key) const;
  [[nodiscard]] bool empty() const { return keys() == 0; }
  [[nodiscard]] uint64_t keys() const { return keys_.load(std::memory_order_relaxed); }
  // Changes that were made to it. They, the keys and the bytes are without what was rolled back.
  [[nodiscard]] uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed) - wasted(); }

  // The last transaction that readers may see.
  std::atomic<uint64_t> visible{0};

 private:
  friend class MemtableFill;
  static constexpr size_t kLevels = 14;
  static constexpr uint64_t kMostWasted = uint64_t{4} << 20;
  struct Table {
    size_t mask;
    LargeMemory memory;  // of the slots, zero at first
    // A node's address, which leaves 16 bits free, and there the first bits of its key's hash: who
    // looks for a key that is not there need not look at nodes.
    [[nodiscard]] std::atomic<uint64_t>* slots() const {
      return reinterpret_cast<std::atomic<uint64_t>*>(memory.bytes().data());
    }
  };

  [[nodiscard]] uint64_t wasted() const { return wasted_.load(std::memory_order_relaxed); }
  void* take(size_t bytes, size_t alignment = 8);
  void keep(LargeMemory memory);
  // Shows the payload where it is.
  Version* make_version(ChangeKind kind, Bytes payload, uint64_t sequence);
  // Shows the key where it is.
  Node* make_node(std::string_view key);
  void hang_on(Node& node, Version& version);
  Node* find_in(const Table& table, std::string_view key, uint64_t hash) const;
  // The first node that is not before `key`; where in each level a node with that key would be
  // linked, and the last node before it, as far as they are asked for.
  Node* descend(std::string_view key, std::atomic<Node*>** links, Node** last) const;
  void add_to_table(Node& node);
  void use_table(size_t slots);
  void place(Node& node);
  void prefetch_slot(const Node& node) const {
    const Table& table = *tables_.back();
    __builtin_prefetch(&table.slots()[node.hash_ & table.mask]);
  }

  std::vector<LargeMemory> chunks_;
  std::byte* at_ = nullptr;
  std::byte* end_ = nullptr;
  size_t nodes_ = 0;               // in the list
  std::atomic<uint64_t> keys_{0};  // those of them that have a version
  std::atomic<uint64_t> changes_{0};
  std::atomic<uint64_t> bytes_{0};  // taken
  std::atomic<uint64_t> wasted_{0};
  uint64_t random_ = 0x853c49e6748fea9b;
  mutable std::atomic<Node*> first_[kLevels]{};
  std::vector<std::unique_ptr<Table>> tables_;  // the last one is in use; readers may be in others
  std::atomic<const Table*> table_{nullptr};
};

}  // namespace splitring::kv
