#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "blkimage/memory_disk.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::KeyRange;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// A store on a disk in memory, without a thread of its own unless told.
class TreeStoreTest : public testing::TestWithParam<uint32_t> {
 protected:
  void make(uint64_t bytes, bool background = false, uint64_t ring = 0) {
    background_ = background;
    auto disk = MemoryDisk::create(Sectors::from_bytes(bytes), {.logical_block_bytes = GetParam()});
    ASSERT_TRUE(disk) << disk.error().what;
    disk_ = std::move(*disk);
    const auto made = TreeStore::create(*disk_, {.ring_bytes = ring});
    ASSERT_TRUE(made) << made.error().what;
    open();
  }
  void open() {
    auto store = TreeStore::open(*disk_, {.background = background_});
    ASSERT_TRUE(store) << store.error().what;
    store_ = std::move(*store);
    session_ = std::move(*store_->session());
  }
  // As after a kill.
  void reopen() {
    session_.reset();
    store_.reset();
    open();
  }
  Result<> put(const std::string& key, const std::string& value) {
    return session_->with_tx([&](Transaction& tx) { return tx.put(kDefaultTree, key, value); });
  }
  std::string get(const std::string& key) {
    std::string value;
    const auto found = session_->get(kDefaultTree, key, value);
    if (!found) return "<" + found.error().what + ">";
    return *found ? value : "<none>";
  }

  bool background_ = false;
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<TreeStore> store_;
  std::unique_ptr<Session> session_;
};
INSTANTIATE_TEST_SUITE_P(BlockSizes, TreeStoreTest, testing::Values(512, 4096));

TEST_P(TreeStoreTest, WhatWasCommittedIsThereAfterACrash) {
  make(4 * kMiB);
  ASSERT_TRUE(put("a", "1"));
  ASSERT_TRUE(put("b", std::string(5000, 'x')));
  EXPECT_EQ(get("a"), "1");
  reopen();
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), std::string(5000, 'x'));
  EXPECT_EQ(get("c"), "<none>");
  ASSERT_TRUE(session_->checkpoint());
  EXPECT_EQ(get("b"), std::string(5000, 'x'));
  reopen();
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), std::string(5000, 'x'));
}

TEST_P(TreeStoreTest, AgreesWithAMapOverCheckpointsAndCrashes) {
  make(16 * kMiB, false, 256 << 10);
  const uint32_t seed = 7 + GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::map<std::string, std::string> model;
  for (int step = 0; step < 400; step++) {
    auto next = model;
    const bool fails = random() % 8 == 0;
    const auto done = session_->with_tx([&](Transaction& tx) -> Result<> {
      for (size_t i = random() % 60; i-- > 0;) {
        const std::string key = "key" + std::to_string(random() % 3000);
        const uint32_t what = random() % 16;
        if (what < 9) {
          const std::string value(random() % 300, static_cast<char>('a' + random() % 26));
          TRY_VOID(tx.put(kDefaultTree, key, value));
          next[key] = value;
        } else if (what < 10) {
          const std::string value(random() % 300'000, static_cast<char>('a' + random() % 26));
          TRY_VOID(tx.put(kDefaultTree, key, value));
          next[key] = value;
        } else if (what < 14) {
          TRY_VOID(tx.remove(kDefaultTree, key));
          next.erase(key);
        } else if (what < 15) {
          const KeyRange range = KeyRange::prefix(key.substr(0, 5));
          TRY(tx.remove_range(kDefaultTree, range));
          next.erase(next.lower_bound(range.from), next.lower_bound(*range.to));
        } else if (next.contains(key)) {
          TRY_VOID(tx.rename(kDefaultTree, key, key + "r"));
          next[key + "r"] = next[key];
          next.erase(key);
        }
        const auto seen = TRY(tx.get(kDefaultTree, key));
        const auto expected = next.find(key);
        EXPECT_EQ(seen.has_value(), expected != next.end());
        if (seen && expected != next.end()) {
          EXPECT_EQ(*seen, expected->second);
        }
      }
      if (fails) return fail(Errc::kConflict, "no");
      return {};
    });
    ASSERT_EQ(done.has_value(), !fails) << (done ? "" : done.error().what) << " step " << step;
    if (!fails) model = next;
    if (random() % 50 == 0) {
      ASSERT_TRUE(session_->checkpoint());
    }
    if (random() % 50 == 0) reopen();
    if (step % 20 != 0) continue;
    auto view = session_->view();
    ASSERT_TRUE(view);
    auto cursor = view->cursor(kDefaultTree);
    auto expected = model.begin();
    std::string value;
    auto more = cursor.first();
    for (; more && *more; more = cursor.next(), ++expected) {
      ASSERT_NE(expected, model.end());
      ASSERT_EQ(cursor.key(), expected->first);
      ASSERT_TRUE(view->value(cursor, value));
      ASSERT_EQ(value, expected->second);
    }
    ASSERT_TRUE(more) << more.error().what;
    ASSERT_EQ(expected, model.end());
    auto backward = model.rbegin();
    for (more = cursor.last(); more && *more; more = cursor.previous(), ++backward)
      ASSERT_EQ(cursor.key(), backward->first);
    ASSERT_EQ(backward, model.rend());
  }
}

}  // namespace
}  // namespace splitring::test
