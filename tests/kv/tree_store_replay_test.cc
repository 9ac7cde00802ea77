// What an open finds in the ring, and how much that may be.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "blkimage/memory_disk.h"
#include "kv/tree/key_order.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::unique_ptr<MemoryDisk> disk_of(uint32_t block_bytes, uint64_t bytes) {
  return std::move(
      *MemoryDisk::create(Sectors::from_bytes(bytes), {.logical_block_bytes = block_bytes}));
}

std::unique_ptr<MemoryDisk> copy_of(MemoryDisk& disk, uint32_t block_bytes) {
  auto copy = disk_of(block_bytes, disk.geometry().capacity.bytes());
  const auto from = std::move(*disk.open_queue({}));
  const auto to = std::move(*copy->open_queue({}));
  std::vector<std::byte> all(disk.geometry().capacity.bytes());
  EXPECT_TRUE(from->read({0}, all));
  EXPECT_TRUE(to->write({0}, all));
  return copy;
}

// Opens it, checks that all of `expected` keys are there, adds a few, and ends as in a crash.
void use(MemoryDisk& disk, int& expected) {
  const auto store = TreeStore::open(disk, {.background = false});
  ASSERT_TRUE(store) << store.error().what;
  const auto session = std::move(*(*store)->session());
  std::string value;
  for (int i = 0; i < expected; i++) {
    const auto found = session->get(kDefaultTree, "key" + std::to_string(i), value);
    ASSERT_TRUE(found && *found) << i;
    ASSERT_EQ(value, std::to_string(i));
  }
  for (int i = 0; i < 7; i++, expected++)
    ASSERT_TRUE(session->with_tx([&](Transaction& tx) {
      return tx.put(kDefaultTree, "key" + std::to_string(expected), std::to_string(expected));
    }));
}

TEST(TreeStoreReplay, AStoreThatWasNotClosedIsCopiedBetweenDisksOfOtherBlocks) {
  auto disk = disk_of(512, 4 * kMiB);
  ASSERT_TRUE(TreeStore::create(*disk, {}));
  int keys = 0;
  for (const uint32_t block : {512, 4096, 4096, 512, 512, 4096}) {
    SCOPED_TRACE(std::to_string(keys) + " keys, now blocks of " + std::to_string(block));
    disk = copy_of(*disk, block);
    ASSERT_NO_FATAL_FAILURE(use(*disk, keys));
  }
}

// Whatever the size of ring and keys, an open has not more to do than it can in a moment.
TEST(TreeStoreReplay, WhatIsLeftToReplayIsBounded) {
  for (const size_t value_bytes : {1, 1000}) {
    const auto disk = disk_of(512, 512 * kMiB);
    ASSERT_TRUE(TreeStore::create(*disk, {.ring_bytes = 128 * kMiB}));
    const auto store = std::move(*TreeStore::open(*disk, {.background = false}));
    const auto session = std::move(*store->session());
    uint64_t most_keys = 0;
    uint64_t most_bytes = 0;
    const uint32_t count = value_bytes == 1 ? 120'000 : 16'000;
    for (uint32_t next = 0; next < count;) {
      ASSERT_TRUE(session->with_tx([&](Transaction& tx) -> Result<> {
        for (int i = 0; i < 1000; i++, next++)
          TRY_VOID(tx.put(kDefaultTree, std::to_string(next), std::string(value_bytes, 'x')));
        return {};
      }));
      most_keys = std::max(most_keys, store->stat().memory_keys);
      most_bytes = std::max(most_bytes, store->stat().ring_used_bytes);
    }
    EXPECT_GT(most_keys, value_bytes == 1 ? 90'000U : 9'000U);
    EXPECT_LE(most_keys, 200'000U);
    EXPECT_LE(most_bytes, 24 * kMiB);
  }
}

struct Owner {
  std::string text;
  size_t number;
  [[nodiscard]] std::string_view key() const { return text; }
};

TEST(TreeStoreReplay, KeysAreSortedAsTheirBytesAreAndEqualOnesStayInOrder) {
  constexpr uint32_t kSeed = 11;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (const size_t count : {1U, 2U, 40U, 3000U}) {
    std::vector<Owner> owners;
    for (size_t i = 0; i < count; i++) {
      // Few different bytes, zeroes among them, and much in common.
      std::string text(random() % 3 * 8, 'p');
      for (size_t more = random() % 12; more-- > 0;)
        text += static_cast<char>(random() % 2 == 0 ? 0 : random() % 3 + 0xfe);
      owners.push_back({text, i});
    }
    using Sort = kv::KeySort<Owner>;
    std::vector<Sort::Item> items;
    for (Owner& owner : owners) items.push_back({kv::order_of(owner.text), &owner});
    std::vector<Sort::Item> spare(items.size());
    Sort::sort(items, 0, spare);
    std::vector<const Owner*> expected;
    for (const Owner& owner : owners) expected.push_back(&owner);
    std::ranges::stable_sort(expected, {}, &Owner::text);
    for (size_t i = 0; i < count; i++) ASSERT_EQ(items[i].owner, expected[i]) << i;
  }
}

}  // namespace
}  // namespace splitring::test
