// Stores that a later version of the program made, and what one holds beyond what memory would.
#include <gtest/gtest.h>

#include <fstream>

#include "blkimage/memory_disk.h"
#include "blkimage/stats_device.h"
#include "kv/tree/check.h"
#include "kv/tree/format.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::DiskSuperblock;
using kv::kDefaultTree;
using kv::Transaction;
using kv::TreeStore;

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::unique_ptr<MemoryDisk> store_of(uint64_t bytes) {
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(bytes)));
  EXPECT_TRUE(TreeStore::create(*disk, {}));
  return disk;
}

// All four superblocks, as `change` would have them, whole.
void change_superblocks(BlockDevice& disk, const std::function<void(DiskSuperblock&)>& change) {
  const uint64_t pages = disk.geometry().capacity.bytes() / kPageSize;
  const auto lane = std::move(*disk.open_queue({}));
  for (const uint64_t page : {uint64_t{0}, uint64_t{1}, pages - 2, pages - 1}) {
    std::vector<std::byte> bytes(kSectorSize);
    const Sectors at{page * kSectorsPerPage};
    ASSERT_TRUE(lane->read(at, bytes));
    DiskSuperblock super;
    std::memcpy(&super, bytes.data(), sizeof super);
    change(super);
    const kv::Hash hash =
        kv::hash_of(std::as_bytes(std::span(&super, 1)).first(offsetof(DiskSuperblock, hash_low)));
    super.hash_low = hash.low;
    super.hash_high = hash.high;
    std::memcpy(bytes.data(), &super, sizeof super);
    ASSERT_TRUE(lane->write(at, bytes));
  }
}

DiskSuperblock newest_superblock(BlockDevice& disk) {
  const auto lane = std::move(*disk.open_queue({}));
  DiskSuperblock newest;
  for (const uint64_t page : {0, 1}) {
    std::vector<std::byte> bytes(kSectorSize);
    EXPECT_TRUE(lane->read({page * kSectorsPerPage}, bytes));
    DiskSuperblock super;
    std::memcpy(&super, bytes.data(), sizeof super);
    if (super.generation > newest.generation) newest = super;
  }
  return newest;
}

TEST(TreeStoreFormat, WhatNeedsAnUnknownFeatureIsNotOpenedAndTheErrorSaysWhich) {
  const auto disk = store_of(4 * kMiB);
  change_superblocks(*disk, [](DiskSuperblock& super) { super.features.incompatible = 4; });
  for (const bool read_only : {false, true}) {
    const auto store = TreeStore::open(*disk, {.read_only = read_only});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, Errc::kUnsupported);
    EXPECT_NE(store.error().what.find("incompatible bits 4"), std::string::npos)
        << store.error().what;
  }
  change_superblocks(*disk, [](DiskSuperblock& super) {
    super.features.incompatible = 0;
    super.version = 2;
  });
  const auto store = TreeStore::open(*disk, {.read_only = true});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Errc::kUnsupported);
  EXPECT_NE(store.error().what.find("version 2"), std::string::npos) << store.error().what;
}

TEST(TreeStoreFormat, WhatOnlyReadersUnderstandIsReadAndNotChanged) {
  const auto disk = store_of(4 * kMiB);
  {
    const auto store = std::move(*TreeStore::open(*disk, {.background = false}));
    const auto session = std::move(*store->session());
    ASSERT_TRUE(session->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "1"); }));
  }
  change_superblocks(*disk, [](DiskSuperblock& super) { super.features.read_only_compatible = 8; });
  const auto refused = TreeStore::open(*disk, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_NE(refused.error().what.find("read only"), std::string::npos) << refused.error().what;
  const auto store = TreeStore::open(*disk, {.read_only = true});
  ASSERT_TRUE(store) << store.error().what;
  const auto session = std::move(*(*store)->session());
  std::string value;
  EXPECT_TRUE(*session->get(kDefaultTree, "a", value));
  EXPECT_EQ(value, "1");
  EXPECT_FALSE(session->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "2"); }));
}

TEST(TreeStoreFormat, WhatNobodyHasToUnderstandIsKept) {
  const auto disk = store_of(4 * kMiB);
  change_superblocks(*disk, [](DiskSuperblock& super) { super.features.compatible = 16; });
  const auto store = TreeStore::open(*disk, {.background = false});
  ASSERT_TRUE(store) << store.error().what;
  auto session = std::move(*(*store)->session());
  ASSERT_TRUE(session->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "1"); }));
  const uint64_t before = newest_superblock(*disk).generation;
  ASSERT_TRUE(session->checkpoint());
  const DiskSuperblock after = newest_superblock(*disk);
  EXPECT_GT(uint64_t{after.generation}, before);
  EXPECT_EQ(uint64_t{after.features.compatible}, 16U);
}

TEST(TreeStoreFormat, CheckCountsTheKeysThatAUserSees) {
  const auto disk = store_of(4 * kMiB);
  const auto store = std::move(*TreeStore::open(*disk, {.background = false}));
  const auto session = std::move(*store->session());
  ASSERT_TRUE(session->with_tx([](Transaction& tx) -> Result<> {
    const kv::TreeId other = TRY(tx.create_tree("other"));
    TRY_VOID(tx.put(kDefaultTree, "a", "1"));
    TRY_VOID(tx.put(kDefaultTree, "long", std::string(300'000, 'l')));
    return tx.put(other, "b", "2");
  }));
  ASSERT_TRUE(session->checkpoint());
  const auto report = kv::StoreCheck::run(*store, *session);
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_TRUE(report->clean());
  EXPECT_EQ(report->keys, 3U);
}

// A disk that counts: each page is read once, and neighbours together.
TEST(TreeStoreFormat, ManyKeysAtOnceReadEachPageOnceAndNeighboursTogether) {
  auto stats = std::make_unique<StatsDevice>(store_of(64 * kMiB));
  {
    const auto store = std::move(*TreeStore::open(*stats, {.background = false}));
    const auto session = std::move(*store->session());
    ASSERT_TRUE(session->with_tx([](Transaction& tx) -> Result<> {
      for (int i = 0; i < 20'000; i++)
        TRY_VOID(tx.put(kDefaultTree, "key" + std::to_string(100'000 + i), std::string(100, 'v')));
      return {};
    }));
    ASSERT_TRUE(session->checkpoint());
  }
  const auto store = std::move(*TreeStore::open(*stats, {.cache_bytes = 0, .background = false}));
  const auto session = std::move(*store->session());
  std::vector<std::string> keys;
  for (int i = 20'000; i-- > 0;)
    keys.push_back("key" + std::to_string(100'000 + i * 7919 % 20'000));
  const auto before = stats->stats().of(Operation::kRead);
  const auto values = (*session->view()).get_many(kDefaultTree, keys);
  ASSERT_TRUE(values) << values.error().what;
  for (const auto& value : *values) ASSERT_EQ(value, std::string(100, 'v'));
  const auto after = stats->stats().of(Operation::kRead);
  const uint64_t pages = store->stat().leaf + store->stat().inner;
  EXPECT_GT(pages, 500U);
  EXPECT_LE((after.bytes - before.bytes) / kPageSize, pages + pages / 4);
  EXPECT_LE(after.completed() - before.completed(), pages / 4);
}

// Of /proc/self/status, in bytes: VmRSS, or VmHWM, the most since forget_most_memory().
uint64_t memory(const std::string& what) {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word)
    if (word == what + ":" && status >> kib) break;
  return kib * 1024;
}
void forget_most_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kMostMemory = 512 * kMiB;  // a sanitizer keeps what was freed
#else
constexpr uint64_t kMostMemory = 4 * kMiB;
#endif

// Written and read in pieces: memory is that of the cache and a few pieces, however long it is.
TEST(TreeStoreFormat, AValueMayBeLongerThanMemory) {
  constexpr uint64_t kLength = 96 * kMiB;
  const auto disk = store_of(256 * kMiB);
  const auto store = std::move(*TreeStore::open(*disk, {.cache_bytes = kMiB, .background = false}));
  const auto session = std::move(*store->session());
  const auto byte_at = [](uint64_t offset) { return static_cast<std::byte>(offset / 4096 % 251); };
  uint64_t given = 0;
  uint64_t most_given = 0;
  auto staged = session->stage([&](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = std::min<uint64_t>(out.size(), kLength - given);
    for (size_t i = 0; i < count; i++) out[i] = byte_at(given + i);
    given += count;
    most_given = std::max<uint64_t>(most_given, count);
    return count;
  });
  ASSERT_TRUE(staged) << staged.error().what;
  EXPECT_LE(most_given, 128U << 10);
  ASSERT_TRUE(session->with_tx(
      [&](Transaction& tx) { return tx.put_staged(kDefaultTree, "long", std::move(*staged)); }));
  ASSERT_TRUE(session->checkpoint());
  // What has been written is on the disk, which is memory here. From now on none is needed.
  forget_most_memory();
  const uint64_t before = memory("VmRSS");
  auto view = std::move(*session->view());
  std::string whole;
  EXPECT_EQ(view.get(kDefaultTree, "long", whole).error().code, Errc::kLimit);
  std::vector<std::byte> piece(300'000);
  uint64_t at = 0;
  while (true) {
    const auto count = view.read(kDefaultTree, "long", at, piece);
    ASSERT_TRUE(count) << count.error().what;
    if (*count == 0) break;
    for (size_t i = 0; i < *count; i += 1000) ASSERT_EQ(piece[i], byte_at(at + i)) << at + i;
    at += *count;
  }
  EXPECT_EQ(at, kLength);
  EXPECT_GT(before, kLength);
  EXPECT_LE(memory("VmHWM"), before + kMostMemory);
}

}  // namespace
}  // namespace splitring::test
