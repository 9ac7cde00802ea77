#include "kv/tree/memtable.h"

#include <algorithm>
#include <cassert>
#include <new>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kv/tree/key_order.h"

namespace splitring::kv {
namespace {

// Few pages at first, then huge ones.
constexpr size_t kFirstChunk = size_t{256} << 10;
constexpr size_t kChunk = size_t{4} << 20;
constexpr size_t kFirstTable = 1024;
constexpr size_t kCacheLine = 64;
constexpr unsigned kAddressBits = 48;  // of a process's memory, on the machines that there are
constexpr uint64_t kAddress = (uint64_t{1} << kAddressBits) - 1;
constexpr size_t kSkip = kBranchBytes + kTreeBytes;

uint64_t hash_key(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }
uint64_t order_of_realm(std::string_view key) { return order_of(key.substr(0, kSkip)); }
uint64_t order_of_rest(std::string_view key) {
  return order_of(key.substr(std::min(kSkip, key.size())));
}

LargeMemory must_have(size_t bytes) {
  auto memory = LargeMemory::reserve(bytes);
  if (!memory) throw std::bad_alloc();
  return std::move(*memory);
}

}  // namespace

Memtable::Place::Place(std::string_view text)
    : realm(order_of_realm(text)), head(order_of_rest(text)), key(text) {}

Memtable::Memtable() { use_table(kFirstTable); }

Memtable::~Memtable() = default;

void* Memtable::take(size_t bytes, size_t alignment) {
  const size_t skipped = -reinterpret_cast<uintptr_t>(at_) & (alignment - 1);
  if (skipped < static_cast<size_t>(end_ - at_)) at_ += skipped;
  bytes = (bytes + 7) / 8 * 8;
  if (static_cast<size_t>(end_ - at_) < bytes) {
    chunks_.push_back(must_have(std::max(bytes, chunks_.empty() ? kFirstChunk : kChunk)));
    at_ = chunks_.back().bytes().data();
    end_ = at_ + chunks_.back().bytes().size();
  }
  std::byte* const taken = at_;
  at_ += bytes;
  bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  return taken;
}

void Memtable::keep(LargeMemory memory) {
  bytes_.store(bytes_.load(std::memory_order_relaxed) + memory.bytes().size(),
               std::memory_order_relaxed);
  chunks_.insert(chunks_.begin(), std::move(memory));  // what is taken comes from the last one
}

Memtable::Node* Memtable::find_in(const Table& table, std::string_view key, uint64_t hash) const {
  for (size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    const uint64_t slot = table.slots()[i].load(std::memory_order_acquire);
    if (slot == 0) return nullptr;
    if ((slot ^ hash) >> kAddressBits != 0) continue;
    Node* const node = reinterpret_cast<Node*>(slot & kAddress);
    if (node->hash_ == hash && node->key() == key) return node;
  }
}

const Memtable::Node* Memtable::find(std::string_view key) const {
  return find_in(*table_.load(std::memory_order_acquire), key, hash_key(key));
}

// With every node there is in it.
void Memtable::use_table(size_t slots) {
  tables_.push_back(std::make_unique<Table>(Table{slots - 1, must_have(slots * sizeof(uint64_t))}));
  for (Node* node = first_[0].load(std::memory_order_relaxed); node != nullptr;
       node = node->links()[0].load(std::memory_order_relaxed))
    place(*node);
  table_.store(tables_.back().get(), std::memory_order_release);
}

void Memtable::place(Node& node) {
  const Table& table = *tables_.back();
  size_t i = node.hash_ & table.mask;
  while (table.slots()[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & table.mask;
  const auto address = reinterpret_cast<uintptr_t>(&node);
  assert(address <= kAddress);
  table.slots()[i].store((node.hash_ & ~kAddress) | address, std::memory_order_release);
}

// Precondition: it is in the list.
void Memtable::add_to_table(Node& node) {
  keys_.store(keys() + 1, std::memory_order_relaxed);
  nodes_++;
  if (const size_t mask = tables_.back()->mask; nodes_ * 2 > mask)
    use_table((mask + 1) * 4);
  else
    place(node);
}

Memtable::Node* Memtable::descend(std::string_view key, std::atomic<Node*>** links,
                                  Node** last) const {
  const Place place(key);
  std::atomic<Node*>* row = first_;
  Node* at = nullptr;
  Node* found = nullptr;
  for (size_t level = kLevels; level-- > 0;) {
    Node* next = row[level].load(std::memory_order_acquire);
    if (level > 0) __builtin_prefetch(row[level - 1].load(std::memory_order_relaxed));
    while (next != nullptr && next != found && place.is_behind(*next)) {
      at = next;
      row = next->links();
      next = row[level].load(std::memory_order_acquire);
      if (level > 0) __builtin_prefetch(row[level - 1].load(std::memory_order_relaxed));
    }
    found = next;  // not before the key: no need to compare it again below
    if (links != nullptr) links[level] = &row[level];
  }
  if (last != nullptr) *last = at;
  return found;
}

Memtable::Version* Memtable::make_version(ChangeKind kind, Bytes payload, uint64_t sequence) {
  return new (take(sizeof(Version)))
      Version{sequence, nullptr, payload.data(), static_cast<uint32_t>(payload.size()), kind};
}

Memtable::Node* Memtable::make_node(std::string_view key) {
  uint32_t levels = 1;
  random_ = random_ * 6364136223846793005 + 1442695040888963407;
  for (uint64_t bits = random_ >> 32; levels < kLevels && (bits & 3) == 0; bits >>= 2) levels++;
  // In one line of the processor's cache, mostly: a search looks at many of them.
  auto* const node =
      new (take(sizeof(Node) + levels * sizeof(std::atomic<Node*>), kCacheLine)) Node;
  node->key_ = key.data();
  node->key_bytes_ = static_cast<uint32_t>(key.size());
  node->hash_ = hash_key(key);
  node->realm_ = order_of_realm(key);
  node->head_ = order_of_rest(key);
  node->levels_ = levels;
  for (size_t level = 0; level < levels; level++)
    new (&node->links()[level]) std::atomic<Node*>(nullptr);
  return node;
}

void Memtable::hang_on(Node& node, Version& version) {
  version.older = node.newest_.load(std::memory_order_relaxed);
  if (version.older == nullptr) keys_.store(keys() + 1, std::memory_order_relaxed);
  node.newest_.store(&version, std::memory_order_release);
}

Memtable::Node& Memtable::put(std::string_view key, ChangeKind kind, Bytes payload,
                              uint64_t sequence) {
  changes_.store(changes() + 1, std::memory_order_relaxed);
  auto* const bytes = static_cast<std::byte*>(take(payload.size()));
  if (!payload.empty()) std::memcpy(bytes, payload.data(), payload.size());
  Version* const version = make_version(kind, {bytes, payload.size()}, sequence);
  if (Node* const there = find_in(*tables_.back(), key, hash_key(key)); there != nullptr) {
    hang_on(*there, *version);
    return *there;
  }
  std::atomic<Node*>* links[kLevels];
  descend(key, links, nullptr);
  auto* const text = static_cast<char*>(take(key.size()));
  std::memcpy(text, key.data(), key.size());
  Node* const node = make_node({text, key.size()});
  node->newest_.store(version, std::memory_order_relaxed);
  for (size_t level = 0; level < node->levels_; level++)
    node->links()[level].store(links[level]->load(std::memory_order_relaxed),
                               std::memory_order_relaxed);
  for (size_t level = 0; level < node->levels_; level++)
    links[level]->store(node, std::memory_order_release);
  add_to_table(*node);
  return *node;
}

void Memtable::unhook(Node& node) {
  Version* const newest = node.newest_.load(std::memory_order_relaxed);
  node.newest_.store(newest->older, std::memory_order_release);
  changes_.store(changes() - 1, std::memory_order_relaxed);
  if (newest->older == nullptr) keys_.store(keys() - 1, std::memory_order_relaxed);
}

std::shared_ptr<Memtable> Memtable::copy() const {
  auto other = std::make_shared<Memtable>();
  std::vector<const Version*> versions;
  for (const Node* node = first_[0].load(std::memory_order_acquire); node != nullptr;
       node = node->next()) {
    versions.clear();
    for (const Version* each = node->newest(); each != nullptr; each = each->older)
      versions.push_back(each);
    for (auto each = versions.rbegin(); each != versions.rend(); ++each)
      other->put(node->key(), (*each)->kind, (*each)->payload(), (*each)->sequence);
  }
  return other;
}

const Memtable::Node* Memtable::lower_bound(std::string_view key) const {
  return descend(key, nullptr, nullptr);
}

const Memtable::Node* Memtable::before(std::string_view key) const {
  Node* last = nullptr;
  descend(key, nullptr, &last);
  return last;
}

}  // namespace splitring::kv
