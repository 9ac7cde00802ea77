// Many at once: transactions are as if one after another, and readers neither wait nor lock.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/store.h"
#include "tests/support/backend/lock_counter.h"
#include "tests/support/grant/allocation_counter.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

class TreeStoreThreads : public ::testing::Test {
 protected:
  TreeStoreThreads() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(32 << 20)))) {
    EXPECT_TRUE(TreeStore::create(*disk_, {.ring_bytes = 256 << 10}));
    open();
  }
  void open() { store_ = std::move(*TreeStore::open(*disk_, {.cache_bytes = 2 << 20})); }

  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<TreeStore> store_;
};

constexpr int kAccounts = 500;
constexpr int kEach = 1000;

std::string account(uint64_t i) { return "account" + std::to_string(i % kAccounts); }

// Moves money between accounts, appends to a history, and checks what it reads.
void move_money(TreeStore& store, uint32_t seed, int transactions) {
  auto session = std::move(*store.session());
  std::mt19937 random(seed);
  for (int i = 0; i < transactions; i++) {
    const bool fails = random() % 10 == 0;
    const auto durability = random() % 3 == 0 ? kv::Durability::kRelaxed : kv::Durability::kDurable;
    const auto done = session->with_tx(
        [&](Transaction& tx) -> Result<> {
          const std::string from = account(random());
          const std::string to = account(random());
          const int amount = static_cast<int>(random() % 50);
          const int had = std::stoi(TRY(tx.get(kDefaultTree, from)).value_or("0"));
          TRY_VOID(tx.put(kDefaultTree, from, std::to_string(had - amount)));
          const int has = std::stoi(TRY(tx.get(kDefaultTree, to)).value_or("0"));
          TRY_VOID(tx.put(kDefaultTree, to, std::to_string(has + amount)));
          // Each links to the one before it: a chain without a fork, if they are serialised.
          const int last = std::stoi(TRY(tx.get(kDefaultTree, "last")).value_or("0"));
          const std::string mine = std::to_string(last + 1);
          EXPECT_FALSE(TRY(tx.get(kDefaultTree, "history" + mine)));
          TRY_VOID(tx.put(kDefaultTree, "history" + mine, std::string(80, 'h')));
          TRY_VOID(tx.put(kDefaultTree, "last", mine));
          if (fails) return fail(Errc::kConflict, "no");
          return {};
        },
        durability);
    ASSERT_EQ(done.has_value(), !fails) << (done ? "" : done.error().what);
  }
}

// One view's money is all there, and its history as long as it says.
void count_money(Session& session) {
  auto view = session.view();
  ASSERT_TRUE(view) << view.error().what;
  int sum = 0;
  std::string value;
  auto cursor = view->cursor(kDefaultTree, kv::KeyRange::prefix("account"));
  auto more = cursor.first();
  for (; more && *more; more = cursor.next()) {
    ASSERT_TRUE(view->value(cursor, value));
    sum += std::stoi(value);
  }
  ASSERT_TRUE(more) << more.error().what;
  ASSERT_EQ(sum, kAccounts * kEach);
  const auto last = view->get(kDefaultTree, "last");
  ASSERT_TRUE(last);
  const auto history = view->count(kDefaultTree, kv::KeyRange::prefix("history"));
  ASSERT_TRUE(history) << history.error().what;
  ASSERT_EQ(std::to_string(*history), last->value_or("0"));
}

TEST_F(TreeStoreThreads, TransactionsAreSerialAndReadersSeeWholeOnes) {
  auto session = std::move(*store_->session());
  ASSERT_TRUE(session->with_tx([](Transaction& tx) -> Result<> {
    for (uint32_t i = 0; i < kAccounts; i++)
      TRY_VOID(tx.put(kDefaultTree, account(i), std::to_string(kEach)));
    return {};
  }));
  constexpr uint32_t kWriters = 3;
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  std::vector<std::thread> readers;
  for (uint32_t i = 0; i < kWriters; i++)
    writers.emplace_back([&, i] { move_money(*store_, i + 1, 1500); });
  for (uint32_t i = 0; i < 3; i++)
    readers.emplace_back([&] {
      auto own = std::move(*store_->session());
      while (!stop.load() && !HasFatalFailure()) count_money(*own);
    });
  for (std::thread& each : writers) each.join();
  stop.store(true);
  for (std::thread& each : readers) each.join();
  count_money(*session);
  ASSERT_TRUE(session->sync());
  EXPECT_GT(store_->stat().generation, 3U);  // checkpoints came by
  session.reset();
  store_.reset();  // as after a kill
  open();
  session = std::move(*store_->session());
  count_money(*session);
  const auto report = kv::StoreCheck::run(*store_, *session);
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_TRUE(report->clean()) << report->problems.front();
}

TEST_F(TreeStoreThreads, ReadersTakeNoLockAndAGetAllocatesNothing) {
  auto session = std::move(*store_->session());
  ASSERT_TRUE(session->with_tx([](Transaction& tx) -> Result<> {
    for (int i = 0; i < 2000; i++)
      TRY_VOID(tx.put(kDefaultTree, "key" + std::to_string(i), std::string(100, 'v')));
    return {};
  }));
  ASSERT_TRUE(session->checkpoint());
  // Some in the tree only, some in memory too.
  ASSERT_TRUE(session->with_tx([](Transaction& tx) -> Result<> {
    for (int i = 0; i < 100; i++)
      TRY_VOID(tx.put(kDefaultTree, "key" + std::to_string(i), std::string(90, 'w')));
    return {};
  }));
  std::string value;
  ASSERT_TRUE(*session->get(kDefaultTree, "key1500", value));  // everything is warm
  std::vector<std::string> keys;
  for (int i = 0; i < 2000; i++) keys.push_back("key" + std::to_string(i));
  const uint64_t locks = splitring::testing::locks_of_this_thread();
  const uint64_t allocations = splitring::testing::allocations_of_this_thread();
  size_t bytes = 0;
  for (const std::string& key : keys) {
    ASSERT_TRUE(*session->get(kDefaultTree, key, value));
    ASSERT_TRUE(*session->visit(kDefaultTree, key, [&](kv::Bytes v) { bytes += v.size(); }));
  }
  EXPECT_EQ(splitring::testing::allocations_of_this_thread(), allocations);
  EXPECT_EQ(bytes, 1900U * 100 + 100 * 90);
  {
    auto view = session->view();
    auto cursor = view->cursor(kDefaultTree);
    size_t count = 0;
    for (auto more = cursor.first(); *more; more = cursor.next()) count++;
    EXPECT_EQ(count, keys.size());
    EXPECT_EQ(view->get_many(kDefaultTree, keys)->size(), keys.size());
  }
  EXPECT_EQ(splitring::testing::locks_of_this_thread(), locks);
  // The counter counts: a transaction locks.
  ASSERT_TRUE(session->with_tx([](Transaction& tx) { return tx.remove(kDefaultTree, "x"); }));
  EXPECT_GT(splitring::testing::locks_of_this_thread(), locks);
}

TEST_F(TreeStoreThreads, AViewIsNotHeldUpByATransactionThatGoesOn) {
  auto session = std::move(*store_->session());
  auto reader = std::move(*store_->session());
  ASSERT_TRUE(session->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "1"); }));
  ASSERT_TRUE(session->with_tx([&](Transaction& tx) -> Result<> {
    TRY_VOID(tx.put(kDefaultTree, "a", "2"));
    std::string value;
    EXPECT_TRUE(TRY(reader->get(kDefaultTree, "a", value)));
    EXPECT_EQ(value, "1");
    EXPECT_EQ(TRY(tx.get(kDefaultTree, "a")).value_or("?"), "2");
    return {};
  }));
  std::string value;
  EXPECT_TRUE(*reader->get(kDefaultTree, "a", value));
  EXPECT_EQ(value, "2");
}

TEST_F(TreeStoreThreads, ManyKeysAtOnceAgreeWithOneByOneWhateverIsCached) {
  auto session = std::move(*store_->session());
  std::vector<std::string> keys;
  ASSERT_TRUE(session->with_tx([&](Transaction& tx) -> Result<> {
    for (int i = 0; i < 20'000; i++) {
      keys.push_back("key" + std::to_string(i * 7919 % 20'011));
      if (i % 5 != 0) TRY_VOID(tx.put(kDefaultTree, keys.back(), keys.back() + "!"));
    }
    return {};
  }));
  ASSERT_TRUE(session->checkpoint());
  session.reset();
  store_.reset();
  store_ = std::move(*TreeStore::open(*disk_, {.cache_bytes = 0}));
  session = std::move(*store_->session());
  const auto view = session->view();
  const auto found = (*session->view()).get_many(kDefaultTree, keys);
  ASSERT_TRUE(found) << found.error().what;
  for (size_t i = 0; i < keys.size(); i++)
    ASSERT_EQ((*found)[i], i % 5 != 0 ? std::optional(keys[i] + "!") : std::nullopt) << keys[i];
}

}  // namespace
}  // namespace splitring::test
