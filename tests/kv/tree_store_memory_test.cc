// What reads find in memory: pages that a checkpoint wrote, and few keys beside the trees.
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>

#include "blkimage/memory_disk.h"
#include "blkimage/stats_device.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr int kKeys = 20'000;

std::string key_of(int i) { return "key" + std::to_string(100'000 + i * 7919 % kKeys); }

Result<> put_all(Session& session, char value) {
  return session.with_tx([&](Transaction& tx) -> Result<> {
    for (int i = 0; i < kKeys; i++)
      TRY_VOID(tx.put(kDefaultTree, key_of(i), std::string(100, value)));
    return {};
  });
}

class TreeStoreMemory : public ::testing::Test {
 protected:
  void open(const kv::StoreOptions& options) {
    auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(64 << 20)));
    ASSERT_TRUE(TreeStore::create(*disk, {}));
    disk_ = std::make_unique<StatsDevice>(std::move(disk));
    store_ = std::move(*TreeStore::open(*disk_, options));
    session_ = std::move(*store_->session());
  }

  std::unique_ptr<StatsDevice> disk_;
  std::unique_ptr<TreeStore> store_;
  std::unique_ptr<Session> session_;
};

// There is room for the tree, but not for two of them: what it was before goes first.
TEST_F(TreeStoreMemory, WhatReadersHaveInMemoryStaysThereOverCheckpoints) {
  open({.cache_bytes = 4 << 20, .background = false});
  ASSERT_TRUE(put_all(*session_, 'a'));
  ASSERT_TRUE(session_->checkpoint());
  const uint64_t pages = store_->stat().leaf + store_->stat().inner;
  ASSERT_GT(pages * kPageSize, 2U << 20);
  ASSERT_LT(pages * kPageSize, 4U << 20);
  std::string value;
  for (int i = 0; i < kKeys; i++) ASSERT_TRUE(*session_->get(kDefaultTree, key_of(i), value));
  for (int round = 0; round < 5; round++) {
    ASSERT_TRUE(put_all(*session_, static_cast<char>('b' + round)));
    ASSERT_TRUE(session_->checkpoint());
  }
  const uint64_t before = disk_->stats().of(Operation::kRead).completed();
  for (int i = 0; i < kKeys; i++) ASSERT_TRUE(*session_->get(kDefaultTree, key_of(i), value));
  EXPECT_EQ(value, std::string(100, 'f'));
  EXPECT_LE(disk_->stats().of(Operation::kRead).completed() - before, pages / 50);
}

TEST_F(TreeStoreMemory, WhatIsInMemoryGoesToTheTreesWhenNobodyWrites) {
  open({});
  ASSERT_TRUE(put_all(*session_, 'a'));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (store_->stat().memory_keys != 0 && std::chrono::steady_clock::now() < end)
    ::poll(nullptr, 0, 1);
  EXPECT_EQ(store_->stat().memory_keys, 0U);
  EXPECT_EQ(store_->stat().generation, 3U);
  // A few are not worth a page each.
  ASSERT_TRUE(session_->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "b"); }));
  EXPECT_EQ(store_->stat().memory_keys, 1U);
}

}  // namespace
}  // namespace splitring::test
