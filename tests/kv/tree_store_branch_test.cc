// Sessions on a branch that goes away under them, and what the catalogue has room for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>

#include "blkimage/forwarding.h"
#include "kv/tree/page.h"
#include "tests/support/kv/open_store.h"
#include "tests/support/must.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

// Calls `on_write` once, on the writing thread, before the next write goes on.
class HookDisk final : public ForwardingDevice {
 public:
  explicit HookDisk(std::unique_ptr<BlockDevice> below)
      : ForwardingDevice(below->geometry(), std::move(below)) {}
  [[nodiscard]] std::string name() const override { return below().name(); }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    auto lane = TRY(below().open_queue(options));
    return std::unique_ptr<BlockQueue>(new Queue(state(), options, std::move(lane), *this));
  }

  std::function<void()> on_write;

 private:
  class Queue final : public ForwardingQueue {
   public:
    Queue(DeviceState& state, const QueueOptions& options, std::unique_ptr<BlockQueue> below,
          HookDisk& disk)
        : ForwardingQueue(state, options, std::move(below)), disk_(disk) {}

   private:
    bool may_start(const BlockRequest& request) noexcept override {
      if (request.operation == Operation::kWrite)
        if (const auto hook = std::exchange(disk_.on_write, nullptr)) hook();
      return true;
    }
    HookDisk& disk_;
  };
};

Errc code_of(const Result<>& result) {
  EXPECT_FALSE(result);
  return result ? Errc{} : result.error().code;
}

// Snapshot "s" stays.
std::unique_ptr<Session> session_on_removed_branch(OpenStore& open) {
  expect_ok(open.session->create_snapshot("s"));
  expect_ok(open.session->create_branch("old", "s"));
  auto left = must(open.store->session());
  expect_ok(left->use_branch("old"));
  expect_ok(open.session->remove_branch("old"));
  return left;
}

TEST(TreeStoreBranch, ASessionOnARemovedBranchNeverComesToAnother) {
  OpenStore open;
  const auto left = session_on_removed_branch(open);
  EXPECT_EQ(code_of(put(*left, "key", "1")), Errc::kNotFound);
  ASSERT_TRUE(open.session->create_branch("new", "s"));
  EXPECT_EQ(code_of(put(*left, "key", "2")), Errc::kNotFound);
  ASSERT_TRUE(open.session->use_branch("new"));
  ASSERT_TRUE(put(*open.session, "key", "of the new one"));
  std::string value;
  EXPECT_FALSE(*left->get(kDefaultTree, "key", value));
}

TEST(TreeStoreBranch, ASnapshotOfARemovedBranchIsNotMade) {
  OpenStore open;
  const auto left = session_on_removed_branch(open);
  EXPECT_EQ(code_of(left->create_snapshot("of nothing")), Errc::kNotFound);
  EXPECT_EQ(open.session->snapshots()->size(), 1U);
}

// Gives the second branch of a store that is closed another number.
void renumber_second_branch(BlockDevice& disk, uint32_t number) {
  const auto lane = std::move(*disk.open_queue({}));
  std::vector<std::byte> page(kv::kPageBytes);
  kv::DiskSuperblock newest;
  for (const uint64_t at : {0U, 1U}) {
    ASSERT_TRUE(lane->read(Sectors{at * kv::kSectorsOfPage}, page));
    kv::DiskSuperblock super;
    std::memcpy(&super, page.data(), sizeof super);
    if (super.generation > newest.generation) newest = super;
  }
  const Sectors leaf{newest.catalogue.page * kv::kSectorsOfPage};
  ASSERT_TRUE(lane->read(leaf, page));
  const kv::Bytes entry = kv::PageView(page.data()).payload(1);
  constexpr size_t kNumberAt = 1 + 1 + 2;  // docs/kv-format.md
  const auto offset = static_cast<size_t>(entry.data() - page.data()) + kNumberAt;
  ASSERT_EQ(kv::load_le<uint32_t>(page.data() + offset), 2U);
  kv::store_le(page.data() + offset, number);
  ASSERT_TRUE(lane->write(leaf, page));
  const kv::Hash of_leaf = kv::hash_of(page);
  newest.catalogue.hash_low = of_leaf.low;
  newest.catalogue.hash_high = of_leaf.high;
  const kv::Hash of_super = kv::hash_of(
      std::as_bytes(std::span(&newest, 1)).first(offsetof(kv::DiskSuperblock, hash_low)));
  newest.hash_low = of_super.low;
  newest.hash_high = of_super.high;
  std::ranges::fill(page, std::byte{});
  std::memcpy(page.data(), &newest, sizeof newest);
  ASSERT_TRUE(lane->write(Sectors{newest.generation % 2 * kv::kSectorsOfPage}, page));
}

TEST(TreeStoreBranch, NoNumberIsBehindTheLastOne) {
  OpenStore open;
  ASSERT_TRUE(open.session->create_snapshot("s"));
  ASSERT_TRUE(open.session->create_branch("b", "s"));
  open.session.reset();
  open.store.reset();
  renumber_second_branch(*open.disk, 0xffff'ffff);
  open.reopen();
  ASSERT_EQ(open.session->branches()->size(), 2U);
  EXPECT_EQ(code_of(open.session->create_branch("c", "s")), Errc::kLimit);
  ASSERT_TRUE(open.session->use_branch("b"));
  EXPECT_TRUE(put(*open.session, "key", "value"));
}

TEST(TreeStoreBranch, LongValuesWrittenWhileItIsRemovedAreFreeAgain) {
  auto hooked = std::make_unique<HookDisk>(must(MemoryDisk::create(Sectors::from_bytes(16 << 20))));
  HookDisk& disk = *hooked;
  OpenStore open(std::move(hooked), 256 << 10);
  ASSERT_TRUE(open.session->create_snapshot("s"));
  ASSERT_TRUE(open.session->create_branch("b", "s"));
  const auto other = std::move(*open.store->session());
  ASSERT_TRUE(other->use_branch("b"));
  ASSERT_TRUE(open.session->checkpoint());
  const uint64_t free_before = open.store->stat().free + open.store->stat().resting;
  bool written = false;
  disk.on_write = [&] {
    written = true;
    EXPECT_TRUE(put(*other, "long", std::string(1 << 20, 'x')));
    EXPECT_TRUE(put(*other, "long", std::string(1 << 20, 'y')));
  };
  ASSERT_TRUE(open.session->remove_branch("b"));
  ASSERT_TRUE(written);
  ASSERT_TRUE(open.session->checkpoint());
  EXPECT_GT(open.store->stat().free + open.store->stat().resting + 16, free_before);
  open.expect_clean();
}

// To make them all would take a while.
TEST(TreeStoreBranch, AsManyAreMadeAsCanBeReadAgain) {
  kv::State state;
  state.branches.emplace_back();
  state.snapshots.resize(kv::kMostCatalogued - 2);
  EXPECT_FALSE(state.is_full());
  state.snapshots.emplace_back();
  EXPECT_TRUE(state.is_full());
}

TEST(TreeStoreBranch, WhatIsFrozenIsNotOverlookedByMustBeAsIn) {
  OpenStore open;
  ASSERT_TRUE(put(*open.session, "a", "1"));
  ASSERT_TRUE(open.session->create_snapshot("s"));
  EXPECT_TRUE(open.session->must_be_as_in("s"));
  ASSERT_TRUE(put(*open.session, "a", "2"));
  // Its checkpoint freezes what was written, and then fails.
  EXPECT_EQ(code_of(open.session->create_snapshot("s")), Errc::kExists);
  EXPECT_EQ(code_of(open.session->must_be_as_in("s")), Errc::kConflict);
}

TEST(TreeStoreBranch, WhatWasRolledBackIsNoChangeForMustBeAsIn) {
  OpenStore open;
  ASSERT_TRUE(open.session->create_snapshot("s"));
  EXPECT_FALSE(open.session->with_tx([](Transaction& tx) -> Result<> {
    TRY_VOID(tx.put(kDefaultTree, "key", "value"));
    return fail(Errc::kConflict, "no");
  }));
  EXPECT_TRUE(open.session->must_be_as_in("s"));
}

}  // namespace
}  // namespace splitring::test
