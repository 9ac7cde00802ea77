// What a commit costs the disk: one write and one flush, shared by all who commit meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "blkimage/stats_device.h"
#include "blkimage/synchronous_queue.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr size_t kDiskBytes = size_t{8} << 20;

// A disk in memory; while its gate is shut a flush waits in front of it.
class GatedDisk final : public BlockDevice {
 public:
  GatedDisk() : BlockDevice({.capacity = Sectors::from_bytes(kDiskBytes)}), bytes_(kDiskBytes) {}

  [[nodiscard]] std::string name() const override { return "gated disk"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    return Lane::create(*this, options);
  }

  void shut() { shut_.store(true); }
  void open() {
    shut_.store(false);
    shut_.notify_all();
  }
  void fail_flushes() { fails_.store(true); }
  void wait_for_a_flush() const { waiting_.wait(0); }

 private:
  class Lane final : public SynchronousQueue {
   public:
    static Result<std::unique_ptr<BlockQueue>> create(GatedDisk& disk,
                                                      const QueueOptions& options) {
      UniqueFd never = TRY(make_never_readable());
      return std::unique_ptr<BlockQueue>(new Lane(disk, options, std::move(never)));
    }

   private:
    Lane(GatedDisk& disk, const QueueOptions& options, UniqueFd never_readable)
        : SynchronousQueue(disk.state(), options, std::move(never_readable)), disk_(disk) {}
    std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
      if (request.operation == Operation::kFlush) return disk_.pass_gate();
      std::byte* at = disk_.bytes_.data() + request.first.bytes();
      for (const iovec& buffer : request.buffers) {
        if (request.operation == Operation::kWrite)
          std::memcpy(at, buffer.iov_base, buffer.iov_len);
        if (request.operation == Operation::kRead) std::memcpy(buffer.iov_base, at, buffer.iov_len);
        at += buffer.iov_len;
      }
      return IoStatus::kOk;
    }
    GatedDisk& disk_;
  };

  IoStatus pass_gate() {
    waiting_.fetch_add(1);
    waiting_.notify_all();
    shut_.wait(true);
    waiting_.fetch_sub(1);
    return fails_.load() ? IoStatus::kIoError : IoStatus::kOk;
  }

  std::vector<std::byte> bytes_;
  std::atomic<bool> shut_{false};
  std::atomic<bool> fails_{false};
  std::atomic<int> waiting_{0};
};

struct Counts {
  uint64_t writes = 0;
  uint64_t flushes = 0;
  bool operator==(const Counts&) const = default;
};
std::ostream& operator<<(std::ostream& to, const Counts& counts) {
  return to << counts.writes << " writes, " << counts.flushes << " flushes";
}

class TreeStoreCommit : public ::testing::Test {
 protected:
  TreeStoreCommit() {
    auto gate = std::make_unique<GatedDisk>();
    gate_ = gate.get();
    disk_ = std::make_unique<StatsDevice>(std::move(gate));
    EXPECT_TRUE(TreeStore::create(*disk_, {.ring_bytes = 256 << 10}));
    store_ = std::move(*TreeStore::open(*disk_, {.background = false}));
    session_ = std::move(*store_->session());
  }
  static Result<> put(Session& session, const std::string& key,
                      kv::Durability durability = kv::Durability::kDurable) {
    return session.with_tx([&](Transaction& tx) { return tx.put(kDefaultTree, key, "value"); },
                           durability);
  }
  [[nodiscard]] Counts counts() const {
    const IoStats stats = disk_->stats();
    return {stats.of(Operation::kWrite).completed(), stats.of(Operation::kFlush).completed()};
  }
  [[nodiscard]] Counts since(const Counts& before) const {
    const Counts now = counts();
    return {now.writes - before.writes, now.flushes - before.flushes};
  }

  GatedDisk* gate_ = nullptr;
  std::unique_ptr<StatsDevice> disk_;
  std::unique_ptr<TreeStore> store_;
  std::unique_ptr<Session> session_;
};

TEST_F(TreeStoreCommit, ADurablePutIsOneWriteAndOneFlush) {
  for (int i = 0; i < 100; i++) {
    const Counts before = counts();
    ASSERT_TRUE(put(*session_, "key" + std::to_string(i)));
    ASSERT_EQ(since(before), (Counts{1, 1}));
  }
  // Of many keys as well.
  const Counts before = counts();
  ASSERT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
    for (int i = 0; i < 200; i++) TRY_VOID(tx.put(kDefaultTree, std::to_string(i), "v"));
    return {};
  }));
  EXPECT_EQ(since(before), (Counts{1, 1}));
}

TEST_F(TreeStoreCommit, WhatOnlyReadsOrFailsOrIsRelaxedTouchesNoDisk) {
  ASSERT_TRUE(put(*session_, "a"));
  const Counts before = counts();
  EXPECT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
    EXPECT_TRUE(TRY(tx.get(kDefaultTree, "a")));
    return {};
  }));
  EXPECT_FALSE(session_->with_tx([](Transaction& tx) -> Result<> {
    TRY_VOID(tx.put(kDefaultTree, "a", "other"));
    return fail(Errc::kConflict, "no");
  }));
  EXPECT_TRUE(put(*session_, "b", kv::Durability::kRelaxed));
  EXPECT_EQ(since(before), (Counts{0, 0}));
  // The next durable one takes it along.
  EXPECT_TRUE(put(*session_, "c"));
  EXPECT_EQ(since(before), (Counts{1, 1}));
}

TEST_F(TreeStoreCommit, ThoseWhoCommitDuringAFlushShareTheNextOne) {
  constexpr int kThreads = 15;
  const Counts before = counts();
  gate_->shut();
  std::thread first([&] {
    const auto own = std::move(*store_->session());
    EXPECT_TRUE(put(*own, "first"));
  });
  gate_->wait_for_a_flush();
  std::atomic<int> bodies{0};
  std::vector<std::thread> others;
  for (int i = 0; i < kThreads; i++)
    others.emplace_back([&, i] {
      const auto own = std::move(*store_->session());
      EXPECT_TRUE(own->with_tx([&](Transaction& tx) {
        bodies.fetch_add(1);
        bodies.notify_all();
        return tx.put(kDefaultTree, "key" + std::to_string(i), "value");
      }));
    });
  for (int seen = bodies.load(); seen < kThreads; seen = bodies.load()) bodies.wait(seen);
  // One transaction at a time: when this one runs, all the others are waiting for the disk.
  EXPECT_FALSE(session_->with_tx([&](Transaction&) -> Result<> {
    gate_->open();
    return fail(Errc::kConflict, "nothing to commit");
  }));
  first.join();
  for (std::thread& each : others) each.join();
  EXPECT_EQ(since(before), (Counts{2, 2}));
  for (int i = 0; i < kThreads; i++)
    EXPECT_TRUE(*session_->view()->get(kDefaultTree, "key" + std::to_string(i)));
}

// Who waits while another gathers a batch is woken when that is over, though nothing else follows.
TEST_F(TreeStoreCommit, ARelaxedOneThatComesWhileABatchIsGatheredIsWoken) {
  const auto commit = [&](Session& session, kv::Durability durability) {
    for (int i = 0; i < 3000; i++) {
      const Result<> done = put(session, "key" + std::to_string(i % 10), durability);
      ASSERT_TRUE(done) << done.error().what;
    }
  };
  const auto other = std::move(*store_->session());
  std::thread relaxed([&] { commit(*other, kv::Durability::kRelaxed); });
  commit(*session_, kv::Durability::kDurable);
  relaxed.join();
}

TEST_F(TreeStoreCommit, ADiskThatFailsWakesAllWhoWait) {
  gate_->shut();
  std::atomic<int> bodies{0};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++)
    threads.emplace_back([&, i] {
      const auto own = std::move(*store_->session());
      for (bool good = true; good;) {
        good = own->with_tx([&](Transaction& tx) {
                    bodies.fetch_add(1);
                    bodies.notify_all();
                    return tx.put(kDefaultTree, "key" + std::to_string(i), "value");
                  })
                   .has_value();
      }
      failed.fetch_add(1);
    });
  for (int seen = bodies.load(); seen < 8; seen = bodies.load()) bodies.wait(seen);
  gate_->fail_flushes();
  gate_->open();
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(failed.load(), 8);
}

}  // namespace
}  // namespace splitring::test
