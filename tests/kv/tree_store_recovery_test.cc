// What an open after a crash builds upon: nothing that another crash could take away from under it,
// and nothing that an earlier one had taken away already.
#include <gtest/gtest.h>

#include "blkimage/power_cut_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tests/support/must.h"

namespace splitring {
namespace {

using kv::Durability;
using kv::kDefaultTree;
using kv::Session;
using kv::StoreCheck;
using kv::Transaction;
using kv::TreeStore;

std::unique_ptr<PowerCutDisk> disk_of(std::vector<std::byte> image) {
  return must(PowerCutDisk::create(std::move(image)));
}

// On a disk, all of it durable.
std::vector<std::byte> empty_store() {
  auto disk = disk_of(std::vector<std::byte>(1 << 20));
  EXPECT_TRUE(TreeStore::create(*disk, {.ring_bytes = 64 << 10}));
  return disk->image_keeping_all(disk->events());
}

struct Opened {
  explicit Opened(BlockDevice& disk)
      : store(must(TreeStore::open(disk, {.background = false}))),
        session(must(store->session())) {}

  void put(char name, int count, size_t bytes, Durability durability = Durability::kDurable) {
    EXPECT_TRUE(session->with_tx(
        [&](Transaction& tx) -> Result<> {
          for (int i = 0; i < count; i++)
            TRY_VOID(tx.put(kDefaultTree, name + std::to_string(i), std::string(bytes, name)));
          return {};
        },
        durability));
  }
  [[nodiscard]] uint64_t keys() const {
    return must(must(session->view()).count(kDefaultTree, {}));
  }

  std::unique_ptr<TreeStore> store;
  std::unique_ptr<Session> session;
};

// The process is killed before the flush behind its last superblock, which the disk has not stored
// yet; the next one takes space that this superblock says is free; then the power goes.
class KilledThenCut : public testing::Test {
 protected:
  static void run(const std::function<void(Opened&)>& take_space) {
    auto disk = disk_of(empty_store());
    {
      Opened opened(*disk);
      for (const char content : {'a', 'b'}) {
        for (int i = 0; i < 20; i++)
          EXPECT_TRUE(opened.session->with_tx([&](Transaction& tx) {
            return tx.put(kDefaultTree, "key" + std::to_string(i), std::string(700, content));
          }));
        EXPECT_TRUE(opened.session->checkpoint());
      }
    }
    size_t moment = disk->events();
    while (!disk->event(moment - 1).is_flush) moment--;
    moment--;
    auto second = disk_of(disk->image_keeping(moment, {}));
    auto lane = must(second->open_queue({}));
    for (const size_t index : disk->at_risk(moment))
      ASSERT_TRUE(lane->write(disk->event(index).first, disk->event(index).bytes));
    const size_t killed = second->events();
    {
      Opened opened(*second);
      take_space(opened);
    }
    std::vector<size_t> kept;
    for (const size_t index : second->at_risk(second->events()))
      if (index >= killed) kept.push_back(index);
    auto third = disk_of(second->image_keeping(second->events(), kept));
    Opened opened(*third);
    EXPECT_EQ(opened.keys(), 20U);
    EXPECT_TRUE(must(StoreCheck::run(*opened.store, *opened.session)).clean());
  }
};

TEST_F(KilledThenCut, WhatTrimGaveBackWasFree) {
  run([](Opened& opened) { EXPECT_GT(must(opened.store->trim()), 0U); });
}

TEST_F(KilledThenCut, WhereALongValueWentWasFree) {
  run([](Opened& opened) {
    int pieces = 6;
    const auto staged = opened.session->stage([&](std::span<std::byte> out) -> Result<size_t> {
      if (pieces-- == 0) return size_t{0};
      std::ranges::fill(out, std::byte{7});
      return out.size();
    });
    EXPECT_TRUE(staged);
  });
}

// Both were relaxed; the disk stored the second one only. The first is done again, byte for byte.
TEST(TreeStoreRecovery, ALostTransactionDoesNotComeBackBehindItsRepetition) {
  std::vector<std::byte> after_cut;
  {
    auto disk = disk_of(empty_store());
    Opened opened(*disk);
    opened.put('a', 5, 900, Durability::kRelaxed);
    opened.put('b', 5, 900, Durability::kRelaxed);
    const auto at_risk = disk->at_risk(disk->events());
    ASSERT_EQ(at_risk.size(), 2U);
    after_cut = disk->image_keeping(disk->events(), std::span(at_risk).subspan(1, 1));
  }
  auto disk = disk_of(after_cut);
  {
    Opened opened(*disk);
    ASSERT_EQ(opened.keys(), 0U);
    opened.put('a', 5, 900);
  }
  EXPECT_EQ(Opened(*disk).keys(), 5U);
}

}  // namespace
}  // namespace splitring
