#include "kv/tree/memtable.h"

#include <algorithm>
#include <cassert>
#include <new>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace splitring::kv {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr size_t kFirstTable = 1024;
constexpr size_t kSkip = kBranchBytes + kTreeBytes;

uint64_t hash_key(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

// Eight bytes, zeroes behind a shorter text, as a number that orders as they do.
uint64_t order_of(std::string_view text) {
  if (text.size() >= 8)
    return __builtin_bswap64(load_le<uint64_t>(reinterpret_cast<const std::byte*>(text.data())));
  uint64_t order = 0;
  for (size_t i = 0; i < 8; i++)
    order = order << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
  return order;
}
uint64_t order_of_realm(std::string_view key) { return order_of(key.substr(0, kSkip)); }
uint64_t order_of_rest(std::string_view key) {
  return order_of(key.substr(std::min(kSkip, key.size())));
}

}  // namespace

Memtable::Memtable() {
  tables_.push_back(std::make_unique<Table>(
      Table{kFirstTable - 1, std::make_unique<std::atomic<Node*>[]>(kFirstTable)}));
  table_.store(tables_.back().get(), std::memory_order_release);
}

Memtable::~Memtable() = default;

void* Memtable::take(size_t bytes) {
  bytes = (bytes + 7) / 8 * 8;
  if (static_cast<size_t>(end_ - at_) < bytes) {
    const size_t chunk = std::max(bytes, kChunkBytes);
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(chunk));
    at_ = chunks_.back().get();
    end_ = at_ + chunk;
  }
  std::byte* const taken = at_;
  at_ += bytes;
  bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  return taken;
}

Memtable::Node* Memtable::find_in(const Table& table, std::string_view key, uint64_t hash) const {
  for (size_t i = hash & table.mask;; i = (i + 1) & table.mask) {
    Node* const node = table.slots[i].load(std::memory_order_acquire);
    if (node == nullptr || (node->hash_ == hash && node->key() == key)) return node;
  }
}

const Memtable::Node* Memtable::find(std::string_view key) const {
  return find_in(*table_.load(std::memory_order_acquire), key, hash_key(key));
}

void Memtable::add_to_table(Node& node) {
  const auto place = [](const Table& table, Node& added) {
    size_t i = added.hash_ & table.mask;
    while (table.slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table.mask;
    table.slots[i].store(&added, std::memory_order_release);
  };
  const Table& table = *tables_.back();
  if (keys() * 2 <= table.mask) return place(table, node);
  const size_t slots = (table.mask + 1) * 4;
  auto larger =
      std::make_unique<Table>(Table{slots - 1, std::make_unique<std::atomic<Node*>[]>(slots)});
  for (Node* each = first_[0].load(std::memory_order_relaxed); each != nullptr;
       each = each->links()[0].load(std::memory_order_relaxed))
    place(*larger, *each);  // the new one among them
  for (Node* each : added_) place(*larger, *each);
  tables_.push_back(std::move(larger));
  table_.store(tables_.back().get(), std::memory_order_release);
}

Memtable::Node* Memtable::descend(std::string_view key, std::atomic<Node*>** links,
                                  Node** last) const {
  const uint64_t realm = order_of_realm(key);
  const uint64_t head = order_of_rest(key);
  const auto is_before = [&](const Node& node) {
    if (node.realm_ != realm) return node.realm_ < realm;
    if (node.head_ != head) return node.head_ < head;
    return node.key() < key;
  };
  std::atomic<Node*>* row = first_;
  Node* at = nullptr;
  Node* found = nullptr;
  for (size_t level = kLevels; level-- > 0;) {
    Node* next = row[level].load(std::memory_order_acquire);
    while (next != nullptr && next != found && is_before(*next)) {
      at = next;
      row = next->links();
      next = row[level].load(std::memory_order_acquire);
    }
    found = next;  // not before the key: no need to compare it again below
    if (links != nullptr) links[level] = &row[level];
  }
  if (last != nullptr) *last = at;
  return found;
}

Memtable::Version* Memtable::make_version(ChangeKind kind, Bytes payload, uint64_t sequence) {
  auto* const version = new (take(sizeof(Version) + payload.size()))
      Version{sequence, nullptr, static_cast<uint32_t>(payload.size()), kind};
  if (!payload.empty()) std::memcpy(version + 1, payload.data(), payload.size());
  return version;
}

Memtable::Node* Memtable::make_node(std::string_view key, uint64_t hash, const Version* version) {
  uint32_t levels = 1;
  random_ = random_ * 6364136223846793005 + 1442695040888963407;
  for (uint64_t bits = random_ >> 32; levels < kLevels && (bits & 3) == 0; bits >>= 2) levels++;
  auto* const node = new (take(sizeof(Node) + levels * sizeof(std::atomic<Node*>))) Node;
  auto* const text = static_cast<char*>(take(key.size()));
  std::memcpy(text, key.data(), key.size());
  node->key_ = text;
  node->key_bytes_ = static_cast<uint32_t>(key.size());
  node->hash_ = hash;
  node->realm_ = order_of_realm(key);
  node->head_ = order_of_rest(key);
  node->levels_ = levels;
  node->newest_.store(version, std::memory_order_relaxed);
  for (size_t level = 0; level < levels; level++)
    new (&node->links()[level]) std::atomic<Node*>(nullptr);
  return node;
}

Memtable::Node* Memtable::hang_on(std::string_view key, uint64_t hash, Version* version) {
  Node* const node = find_in(*tables_.back(), key, hash);
  if (node == nullptr) return nullptr;
  version->older = node->newest_.load(std::memory_order_relaxed);
  node->newest_.store(version, std::memory_order_release);
  return node;
}

Memtable::Node& Memtable::put(std::string_view key, ChangeKind kind, Bytes payload,
                              uint64_t sequence) {
  auto* const version = make_version(kind, payload, sequence);
  const uint64_t hash = hash_key(key);
  if (Node* const there = hang_on(key, hash, version)) return *there;
  std::atomic<Node*>* links[kLevels];
  descend(key, links, nullptr);
  Node* const node = make_node(key, hash, version);
  for (size_t level = 0; level < node->levels_; level++)
    node->links()[level].store(links[level]->load(std::memory_order_relaxed),
                               std::memory_order_relaxed);
  for (size_t level = 0; level < node->levels_; level++)
    links[level]->store(node, std::memory_order_release);
  keys_.store(keys() + 1, std::memory_order_relaxed);
  add_to_table(*node);
  return *node;
}

void Memtable::add(std::string_view key, ChangeKind kind, Bytes payload, uint64_t sequence) {
  assert(first_[0].load(std::memory_order_relaxed) == nullptr);
  auto* const version = make_version(kind, payload, sequence);
  const uint64_t hash = hash_key(key);
  if (hang_on(key, hash, version) != nullptr) return;
  added_.push_back(make_node(key, hash, version));
  keys_.store(keys() + 1, std::memory_order_relaxed);
  add_to_table(*added_.back());
}

void Memtable::put_in_order() {
  struct Entry {
    uint64_t realm;
    uint64_t head;
    Node* node;
  };
  std::vector<Entry> entries;
  entries.reserve(added_.size());
  for (Node* node : added_) entries.push_back({node->realm_, node->head_, node});
  added_ = {};
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    if (a.realm != b.realm) return a.realm < b.realm;
    if (a.head != b.head) return a.head < b.head;
    return a.node->key() < b.node->key();
  });
  std::atomic<Node*>* ends[kLevels];
  for (size_t level = 0; level < kLevels; level++) ends[level] = &first_[level];
  constexpr size_t kAhead = 8;
  for (size_t i = 0; i < entries.size(); i++) {
    if (i + kAhead < entries.size()) __builtin_prefetch(&entries[i + kAhead].node->levels_);
    Node* const node = entries[i].node;
    for (size_t level = 0; level < node->levels_; level++) {
      ends[level]->store(node, std::memory_order_release);
      ends[level] = &node->links()[level];
    }
  }
}

void Memtable::unhook(Node& node) {
  node.newest_.store(node.newest_.load(std::memory_order_relaxed)->older,
                     std::memory_order_release);
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
