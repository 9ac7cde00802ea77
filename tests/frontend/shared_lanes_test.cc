// Several users of a disk that has one ring.
#include "blkimage/shared_lanes.h"

#include <poll.h>

#include <array>
#include <thread>

#include "tests/support/frontend/disk_test.h"

namespace splitring {
namespace {

using testing::DiskTest;
using testing::ServedPeer;

class SharedLanes : public DiskTest {
 protected:
  void SetUp() override {
    peer_ = std::make_unique<testing::Peer>(machine_, testing::PeerOptions{});
    shared_ = must(make_lanes_shared(connect(*host_, *peer_, hasty())));
  }
  std::unique_ptr<BlockQueue> open() {
    return must(shared_->open_queue({.polling = SpinWait::Mode::kOff}));
  }

  std::unique_ptr<BlockDevice> shared_;
};

bool becomes_readable(const BlockQueue& lane) {
  pollfd entry{lane.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 10'000) == 1;
}

// The other one takes the event that the sleeper had asked for, sees before it sleeps that there is
// an answer, takes that too, and goes its way.
TEST_F(SharedLanes, WhoSleepsIsWokenThoughAnotherMovedTheRingOn) {
  const auto sleeper = open();
  const auto other = open();
  TestBuffer bytes(2 * kPageSize);
  TestRequest slow;
  TestRequest quick;
  sleeper->submit(slow.data(Operation::kRead, {}, bytes.bytes().first(kPageSize)));
  sleeper->kick();
  other->submit(quick.data(Operation::kRead, Sectors{8}, bytes.bytes().last(kPageSize)));
  other->kick();
  const auto first = peer_->take();
  const auto second = peer_->take();
  EXPECT_EQ(sleeper->poll(), 0U);
  EXPECT_EQ(other->poll(), 0U);
  ASSERT_TRUE(sleeper->prepare_to_wait());
  peer_->answer(second);
  ASSERT_TRUE(becomes_readable(*other));
  EXPECT_FALSE(other->prepare_to_wait());
  EXPECT_EQ(other->poll(), 1U);
  EXPECT_EQ(quick.status, IoStatus::kOk);
  EXPECT_EQ(slow.completions, 0);
  peer_->answer(first);
  EXPECT_TRUE(becomes_readable(*sleeper));
  EXPECT_EQ(sleeper->poll(), 1U);
  EXPECT_EQ(slow.status, IoStatus::kOk);
}

TEST_F(SharedLanes, WhatAnotherFoundIsWaitingForItsOwner) {
  const auto owner = open();
  const auto other = open();
  TestBuffer bytes(kPageSize);
  TestRequest request;
  owner->submit(request.data(Operation::kRead, {}, bytes.bytes()));
  owner->kick();
  const auto wire = peer_->take();
  EXPECT_EQ(owner->poll(), 0U);
  ASSERT_TRUE(owner->prepare_to_wait());
  peer_->answer(wire);
  pollfd entry{owner->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 10'000), 1);
  EXPECT_EQ(other->poll(), 0U);  // not its own
  EXPECT_EQ(request.completions, 0);
  EXPECT_TRUE(becomes_readable(*owner));
  EXPECT_EQ(owner->poll(), 1U);
  EXPECT_EQ(request.completions, 1);
}

TEST_F(SharedLanes, ThreadsThatShareARingGetWhatIsTheirs) {
  constexpr unsigned kThreads = 4;
  constexpr uint64_t kBlocksEach = 64;
  constexpr size_t kRequests = 8;
  const ServedPeer served(*peer_);
  const auto work = [&](unsigned number) {
    const auto lane = open();
    TestBuffer bytes(kRequests * kPageSize);
    const auto page = [&](size_t i) { return bytes.bytes().subspan(i * kPageSize, kPageSize); };
    for (uint64_t block = number * kBlocksEach; block < (number + 1) * kBlocksEach;
         block += kRequests) {
      for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
        std::array<TestRequest, kRequests> requests;
        for (size_t i = 0; i < kRequests; i++) {
          std::ranges::fill(page(i), std::byte(operation == Operation::kWrite ? block + i : 0));
          lane->submit(requests[i].data(operation, Sectors{(block + i) * 8}, page(i)));
        }
        lane->drain();
        for (const TestRequest& request : requests) {
          EXPECT_EQ(request.completions, 1);
          EXPECT_EQ(request.status, IoStatus::kOk);
        }
      }
      for (size_t i = 0; i < kRequests; i++)
        EXPECT_TRUE(
            std::ranges::all_of(page(i), [&](std::byte b) { return b == std::byte(block + i); }));
    }
  };
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < kThreads; number++) threads.emplace_back(work, number);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace splitring
