// What many readers and writers saw at the same time could have happened one after another.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "blkimage/memory_disk.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"
#include "tests/support/kv/serial_history.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;
using testing::SerialTransaction;
using testing::why_not_serial;

constexpr size_t kKeys = 24;

std::string key_of(size_t i) { return "key" + std::to_string(i); }

uint64_t number_in(const std::optional<std::string>& value) {
  return value ? std::stoull(*value) : 0;
}

class TreeStoreSerial : public ::testing::Test {
 protected:
  TreeStoreSerial() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(16 << 20)))) {
    // A small ring: checkpoints go on all the time.
    EXPECT_TRUE(TreeStore::create(*disk_, {.ring_bytes = 64 << 10}));
    store_ = std::move(*TreeStore::open(*disk_, {.cache_bytes = 1 << 20}));
  }

  void keep(std::vector<SerialTransaction>&& mine) {
    const std::lock_guard lock(mutex_);
    history_.insert(history_.end(), mine.begin(), mine.end());
  }
  void write(uint32_t seed, int transactions);
  void read(uint32_t seed, int views);

  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<TreeStore> store_;
  std::atomic<uint64_t> clock_{0};
  std::atomic<uint64_t> numbers_{0};
  std::mutex mutex_;
  std::vector<SerialTransaction> history_;
};

// Reads some keys, changes some of those, and sometimes nothing after all.
void TreeStoreSerial::write(uint32_t seed, int transactions) {
  const auto session = std::move(*store_->session());
  std::mt19937 random(seed);
  std::vector<SerialTransaction> mine;
  for (int i = 0; i < transactions; i++) {
    SerialTransaction what;
    what.number = ++numbers_;
    const bool fails = random() % 8 == 0;
    const auto durability = random() % 2 == 0 ? kv::Durability::kDurable : kv::Durability::kRelaxed;
    what.begun = ++clock_;
    const auto done = session->with_tx(
        [&](Transaction& tx) -> Result<> {
          for (size_t n = 1 + random() % 6; n-- > 0;) {
            const std::string key = key_of(random() % kKeys);
            if (what.seen.contains(key)) continue;
            what.seen[key] = number_in(TRY(tx.get(kDefaultTree, key)));
            if (random() % 2 == 0) continue;
            what.written.push_back(key);
            // Long enough that the ring is full again and again.
            TRY_VOID(
                tx.put(kDefaultTree, key, std::to_string(what.number) + std::string(400, ' ')));
          }
          if (fails) return fail(Errc::kConflict, "no");
          return {};
        },
        durability);
    what.ended = ++clock_;
    ASSERT_EQ(done.has_value(), !fails) << (done ? "" : done.error().what);
    if (!fails) mine.push_back(what);
  }
  keep(std::move(mine));
}

// Views of all keys, by a cursor or many at once; and single gets, each a transaction of its own.
void TreeStoreSerial::read(uint32_t seed, int views) {
  const auto session = std::move(*store_->session());
  std::mt19937 random(seed);
  std::vector<SerialTransaction> mine;
  std::vector<std::string> keys;
  for (size_t i = 0; i < kKeys; i++) keys.push_back(key_of(i));
  for (int i = 0; i < views; i++) {
    SerialTransaction what;
    what.number = ++numbers_;
    what.begun = ++clock_;
    if (random() % 3 == 0) {
      const std::string key = keys[random() % kKeys];
      std::string value;
      const auto found = session->get(kDefaultTree, key, value);
      ASSERT_TRUE(found) << found.error().what;
      what.seen[key] = *found ? std::stoull(value) : 0;
    } else {
      auto view = session->view();
      ASSERT_TRUE(view) << view.error().what;
      if (random() % 2 == 0) std::this_thread::yield();
      const auto values = view->get_many(kDefaultTree, keys);
      ASSERT_TRUE(values) << values.error().what;
      for (size_t k = 0; k < kKeys; k++) what.seen[keys[k]] = number_in((*values)[k]);
      auto cursor = view->cursor(kDefaultTree);
      std::string value;
      auto more = cursor.first();
      for (; more && *more; more = cursor.next()) {
        ASSERT_TRUE(view->value(cursor, value));
        ASSERT_EQ(what.seen[std::string(cursor.key())], std::stoull(value));
      }
      ASSERT_TRUE(more) << more.error().what;
    }
    what.ended = ++clock_;
    mine.push_back(what);
  }
  keep(std::move(mine));
}

TEST_F(TreeStoreSerial, WhatManyReadersAndWritersSawCouldHaveBeenOneAfterAnother) {
  constexpr uint32_t kSeed = 5;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 5; i++) threads.emplace_back([this, i] { write(kSeed + i, 400); });
  for (uint32_t i = 0; i < 5; i++) threads.emplace_back([this, i] { read(kSeed + 100 + i, 300); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(history_.size(), 3000U);
  EXPECT_GT(store_->stat().generation, 4U) << "no checkpoint went on meanwhile";
  EXPECT_EQ(why_not_serial(history_), "");
}

// What the proof above is worth: histories that no order explains are found.
TEST(SerialHistory, FindsWhatNoOrderExplains) {
  const SerialTransaction first{1, 1, 2, {{"a", 0}, {"b", 0}}, {"a", "b"}};
  EXPECT_EQ(why_not_serial({first, {2, 3, 4, {{"a", 1}}, {"a"}}}), "");
  // Two replaced the same.
  EXPECT_NE(why_not_serial({first, {2, 3, 5, {{"a", 1}}, {"a"}}, {3, 4, 6, {{"a", 1}}, {"a"}}}),
            "");
  // Each saw what the other replaced: write skew.
  EXPECT_NE(
      why_not_serial(
          {first, {2, 3, 5, {{"a", 1}, {"b", 1}}, {"a"}}, {3, 4, 6, {{"a", 1}, {"b", 1}}, {"b"}}}),
      "");
  // Half of a transaction.
  EXPECT_NE(why_not_serial({first, {2, 3, 4, {{"a", 1}, {"b", 0}}, {}}}), "");
  // An old state, after a newer one had been reported.
  EXPECT_NE(why_not_serial({first, {2, 3, 4, {{"a", 0}}, {}}}), "");
  EXPECT_EQ(why_not_serial({{1, 1, 4, {{"a", 0}}, {"a"}}, {2, 2, 3, {{"a", 0}}, {}}}), "");
  // What was rolled back.
  EXPECT_NE(why_not_serial({first, {2, 3, 4, {{"a", 7}}, {}}}), "");
}

}  // namespace
}  // namespace splitring::test
