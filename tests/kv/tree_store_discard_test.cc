// Space that was freed is given back to the disk: when nobody can need it any more, never before.
// (That a power cut finds nothing missing is TreeStorePowerCut's, which discards all it can.)
#include <gtest/gtest.h>

#include <memory>

#include "blkimage/memory_disk.h"
#include "blkimage/stats_device.h"
#include "kv/tree/store.h"
#include "tests/support/kv/open_store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int kValues = 64;
constexpr size_t kValueBytes = 100'000;
constexpr uint64_t kAllBytes = kValues * kValueBytes;

class TreeStoreDiscard : public ::testing::Test {
 protected:
  void open(const kv::StoreOptions& options) {
    if (disk_ == nullptr) {
      disk_ = std::make_unique<StatsDevice>(
          std::move(*MemoryDisk::create(Sectors::from_bytes(32 * kMiB))));
      EXPECT_TRUE(TreeStore::create(*disk_, {}));
    }
    session_.reset();
    store_.reset();
    store_ = std::move(*TreeStore::open(*disk_, options));
    session_ = std::move(*store_->session());
  }
  void fill() {
    ASSERT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
      for (int i = 0; i < kValues; i++)
        TRY_VOID(tx.put(kDefaultTree, "key" + std::to_string(i), std::string(kValueBytes, 'v')));
      return {};
    }));
    ASSERT_TRUE(session_->checkpoint());
  }
  void empty() {
    ASSERT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
      TRY(tx.remove_range(kDefaultTree, {}));
      return {};
    }));
  }
  // A checkpoint that has something to do.
  void checkpoint() {
    ASSERT_TRUE(session_->with_tx(
        [&](Transaction& tx) { return tx.put(kDefaultTree, "n", std::to_string(count_++)); }));
    ASSERT_TRUE(session_->checkpoint());
  }
  [[nodiscard]] uint64_t discarded() const { return disk_->stats().of(Operation::kDiscard).bytes; }

  int count_ = 0;
  std::unique_ptr<StatsDevice> disk_;
  std::unique_ptr<TreeStore> store_;
  std::unique_ptr<Session> session_;
};
const kv::StoreOptions kAtOnce{.background = false, .discard_above_bytes = 0};

TEST_F(TreeStoreDiscard, FreedSpaceIsGivenBackOnceTheCheckpointThatFreesItIsDurable) {
  open(kAtOnce);
  fill();
  empty();
  EXPECT_EQ(discarded(), 0U);  // it is removed, and still what a crash would come back to
  ASSERT_TRUE(session_->checkpoint());
  EXPECT_GE(discarded(), kAllBytes);
  EXPECT_EQ(store_->stat().discarded * 4096, discarded());
  const uint64_t then = discarded();
  checkpoint();
  EXPECT_LT(discarded() - then, 64U << 10);  // once, not again and again
  fill();
  std::string value;
  EXPECT_TRUE(*session_->get(kDefaultTree, "key7", value));
  EXPECT_EQ(value, std::string(kValueBytes, 'v'));
  expect_clean(*store_, *session_);
}

TEST_F(TreeStoreDiscard, WhatAReaderOrASnapshotShowsIsKept) {
  open(kAtOnce);
  fill();
  ASSERT_TRUE(session_->create_snapshot("s"));
  {
    auto reader = std::move(*store_->session());
    auto view = reader->view();
    ASSERT_TRUE(view);
    empty();
    checkpoint();
    ASSERT_TRUE(session_->remove_snapshot("s"));
    checkpoint();
    EXPECT_LT(discarded(), kAllBytes / 8);  // the view is as old as the values
    EXPECT_EQ(*view->get(kDefaultTree, "key9"), std::string(kValueBytes, 'v'));
  }
  checkpoint();
  EXPECT_GE(discarded(), kAllBytes);
  fill();
  ASSERT_TRUE(session_->create_snapshot("t"));
  empty();
  const uint64_t then = discarded();
  checkpoint();
  EXPECT_LT(discarded() - then, kAllBytes / 8);
  EXPECT_EQ(*session_->view_of_snapshot("t")->get(kDefaultTree, "key9"),
            std::string(kValueBytes, 'v'));
  expect_clean(*store_, *session_);
}

TEST_F(TreeStoreDiscard, LittleIsKeptForWhatComesNextAndGivenBackWhenTheStoreIsClosed) {
  open({.background = false, .discard_above_bytes = 2 * kAllBytes});
  fill();
  empty();
  checkpoint();
  EXPECT_EQ(discarded(), 0U);
  session_.reset();
  ASSERT_TRUE(store_->close());
  EXPECT_GE(discarded(), kAllBytes);
}

TEST_F(TreeStoreDiscard, NothingIsGivenBackIfSoAsked) {
  open({.background = false, .discard_above_bytes = 0, .discard = false});
  fill();
  empty();
  checkpoint();
  EXPECT_EQ(store_->trim().error().code, Errc::kUnsupported);
  session_.reset();
  ASSERT_TRUE(store_->close());
  EXPECT_EQ(discarded(), 0U);
}

TEST_F(TreeStoreDiscard, TrimGivesBackAllThatIsFreeHoweverOld) {
  open({.background = false, .discard = false});
  fill();
  empty();
  checkpoint();
  open({.background = false});
  fill();
  const uint64_t free = store_->stat().free;
  const auto trimmed = store_->trim();
  ASSERT_TRUE(trimmed) << trimmed.error().what;
  EXPECT_EQ(*trimmed, free);
  EXPECT_EQ(discarded(), free * 4096);
  EXPECT_EQ(store_->stat().free, free);
  expect_clean(*store_, *session_);
}

}  // namespace
}  // namespace splitring::test
