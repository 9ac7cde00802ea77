// What a hostile backend may write to the ring, and what it gets for it (F rows of the hardening
// list): it costs the device, never memory.
#include <algorithm>
#include <cstring>

#include "ring/ring_layout.h"
#include "tests/support/frontend/disk_test.h"

namespace splitring::testing {
namespace {

using frontend::LinkPhase;
using Layout = RingLayout<Wire>;

class HostileRing : public DiskTest {
 protected:
  // One read is in flight and one more waits behind it, unkicked.
  void SetUp() override {
    start();
    send(first_.data(Operation::kRead, Sectors{8}, buffer_.bytes()));
    wire_ = peer_->take();
    lane_->submit(second_.data(Operation::kRead, Sectors{16}, buffer_.bytes()));
  }

  void expect_disabled() {
    EXPECT_EQ(finish(first_), IoStatus::kGone);
    EXPECT_EQ(finish(second_), IoStatus::kGone);
    TestRequest later;
    lane_->submit(later.data(Operation::kRead, {}, buffer_.bytes()));
    EXPECT_EQ(finish(later), IoStatus::kGone);
    EXPECT_EQ(first_.completions, 1);
    wait_for_phase(LinkPhase::kBroken);
    peer_->wait_for_frontend(XenbusState::kClosing);
    EXPECT_NE(peer_->read_frontend_node("error").find("disabled for further use"),
              std::string::npos);
    // Another backend in its place changes nothing.
    peer_->set_state(XenbusState::kClosing);
    peer_->wait_for_frontend(XenbusState::kClosed);
    EXPECT_EQ(disk_->statistics().phase, LinkPhase::kBroken);
  }

  TestBuffer buffer_{4096};
  TestRequest first_, second_;
  Wire::Request wire_{};
};

TEST_F(HostileRing, F1_MoreResponsesThanRequests) {
  peer_->poke_index(Layout::kResponseProducer, 2);
  expect_disabled();
}

TEST_F(HostileRing, F1_MoreResponsesThanSlots) {
  peer_->poke_index(Layout::kResponseProducer, 0x80000000U);
  expect_disabled();
}

TEST_F(HostileRing, F2_ResponseIndexBackwards) {
  peer_->poke_index(Layout::kResponseProducer, ~0U);
  expect_disabled();
}

TEST_F(HostileRing, F3_IdBeyondTheRing) {
  peer_->answer_raw((wire_.id & ~uint64_t{UINT32_MAX}) | 4096, blkif::kOpRead, 0);
  expect_disabled();
}

TEST_F(HostileRing, F3_IdOfAllOnes) {
  peer_->answer_raw(~uint64_t{0}, blkif::kOpRead, 0);
  expect_disabled();
}

TEST_F(HostileRing, F4_IdNotInFlight) {
  peer_->answer_raw(wire_.id + 1, blkif::kOpRead, 0);
  expect_disabled();
}

TEST_F(HostileRing, F4_IdOfAnEarlierUseOfTheEntry) {
  peer_->answer_raw(wire_.id - (uint64_t{1} << 32), blkif::kOpRead, 0);
  expect_disabled();
}

TEST_F(HostileRing, F6_OperationOfAnother) {
  peer_->answer_raw(wire_.id, blkif::kOpWrite, 0);
  expect_disabled();
}

TEST_F(HostileRing, F5_AnsweredTwiceTheFirstCompletionStands) {
  lane_->kick();
  (void)peer_->take();
  peer_->answer(wire_);
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  peer_->answer_raw(wire_.id, blkif::kOpRead, 0);
  EXPECT_EQ(finish(second_), IoStatus::kGone);
  EXPECT_EQ(first_.completions, 1);
  EXPECT_EQ(first_.status, IoStatus::kOk);
  wait_for_phase(LinkPhase::kBroken);
}

TEST_F(HostileRing, F5_AnsweredTwiceWhileTheEntryIsUsedAgain) {
  peer_->answer(wire_);
  EXPECT_EQ(finish(first_), IoStatus::kOk);  // poll() has kicked the second
  const Wire::Request again = peer_->take();
  EXPECT_EQ(again.id & UINT32_MAX, wire_.id & UINT32_MAX);
  EXPECT_NE(again.id, wire_.id);
  peer_->answer_raw(wire_.id, blkif::kOpRead, 0);
  EXPECT_EQ(finish(second_), IoStatus::kGone);
}

TEST_F(HostileRing, F7_UnknownStatusIsAnIoError) {
  peer_->answer_raw(wire_.id, blkif::kOpRead, -77);
  EXPECT_EQ(finish(first_), IoStatus::kIoError);
  peer_->answer_raw(peer_->take().id, blkif::kOpRead, 1);
  EXPECT_EQ(finish(second_), IoStatus::kIoError);
  EXPECT_EQ(disk_->statistics().phase, LinkPhase::kConnected);
}

TEST_F(HostileRing, F9_EditedRequestSlotsAreNeverReadBack) {
  std::byte* const slots = peer_->lane().pages.bytes().data() + Layout::kSlots;
  peer_->answer(wire_);
  // All slots but the one of the answer.
  std::memset(slots + Layout::kSlotBytes, 0xff, Layout::kSlotBytes * 8);
  std::memset(slots + sizeof(Wire::Response), 0xff, Layout::kSlotBytes - sizeof(Wire::Response));
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  peer_->answer(peer_->take());
  EXPECT_EQ(finish(second_), IoStatus::kOk);
}

TEST_F(HostileRing, F9_TheBackendsViewOfOurIndicesIsNotOurs) {
  peer_->answer(wire_);
  peer_->poke_index(Layout::kRequestProducer, 12345);
  peer_->poke_index(Layout::kResponseEvent, 99);
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  eventually([&] { return peer_->peek_index(Layout::kRequestProducer) == 2; },
             "our own index in the ring");
}

// A flipper changes the answer again and again while it is read: whatever is seen is one answer.
TEST_F(HostileRing, F8_AResponseThatChangesIsReadOnce) {
  for (int round = 0; round < 20; round++) {
    std::byte* const slot =
        peer_->lane().pages.bytes().data() + Layout::kSlots +
        (static_cast<size_t>(peer_->lane().ring->produced_index()) % peer_->lane().ring->slots()) *
            Layout::kSlotBytes;
    std::atomic<bool> stop{false};
    std::thread flipper([&] {
      Wire::Response good{}, bad{};
      good.id = bad.id = wire_.id;
      bad.status = -1;
      while (!stop.load(std::memory_order_relaxed)) {
        SharedMemory::store<Wire::Word>(slot, &bad, sizeof bad);
        SharedMemory::store<Wire::Word>(slot, &good, sizeof good);
      }
    });
    peer_->answer(wire_);
    const IoStatus seen = finish(first_);
    stop = true;
    flipper.join();
    ASSERT_TRUE(seen == IoStatus::kOk || seen == IoStatus::kIoError);
    first_.completions = 0;
    if (second_.completions == 0) {
      peer_->answer(peer_->take());
      ASSERT_EQ(finish(second_), IoStatus::kOk);
    }
    send(first_.data(Operation::kRead, Sectors{8}, buffer_.bytes()));
    wire_ = peer_->take();
  }
}

TEST_F(HostileRing, F6_AnIndirectRequestIsAnsweredByItsInnerOperation) {
  peer_->answer(wire_);
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  peer_->answer(peer_->take());
  EXPECT_EQ(finish(second_), IoStatus::kOk);
  TestBuffer large(128 * 1024);
  TestRequest request, other;
  send(request.data(Operation::kRead, {}, large.bytes()));
  Wire::Request wire = peer_->take();
  ASSERT_EQ(wire.operation, blkif::kOpIndirect);
  peer_->answer_raw(wire.id, blkif::kOpRead, 0);
  EXPECT_EQ(finish(request), IoStatus::kOk);
  send(other.data(Operation::kRead, {}, large.bytes()));
  wire = peer_->take();
  peer_->answer_raw(wire.id, blkif::kOpIndirect, 0);
  EXPECT_EQ(finish(other), IoStatus::kGone);
}

// The pages are ours alone to begin with: what was never filled reads as zeroes.
TEST_F(HostileRing, F10_AReadThatWasNotFilledShowsNoOldMemory) {
  fill_pattern(buffer_.bytes(), 1);
  peer_->answer(wire_);
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::all_of(buffer_.bytes(), [](std::byte b) { return b == std::byte{0}; }));
}

// Doorbells without answers: the lane looks, and looks less and less often.
TEST_F(HostileRing, F13_AnEventStormIsHeldBack) {
  lane_->kick();
  const Wire::Request second = peer_->take();
  for (int i = 0; i < 100; i++) {
    ASSERT_TRUE(peer_->lane().channel->notify());
    EXPECT_EQ(lane_->poll(), 0U);
    (void)lane_->prepare_to_wait();
  }
  const auto storm = disk_->statistics();
  EXPECT_GE(storm.spurious_wakeups, 90U);
  EXPECT_GE(storm.throttled_wakeups, 50U);
  peer_->answer(wire_);
  peer_->answer(second);
  EXPECT_EQ(finish(first_), IoStatus::kOk);
  EXPECT_EQ(finish(second_), IoStatus::kOk);
  // Honest again: no longer held back.
  TestRequest later;
  send(later.data(Operation::kRead, {}, buffer_.bytes()));
  peer_->answer(peer_->take());
  EXPECT_EQ(finish(later), IoStatus::kOk);
  (void)lane_->prepare_to_wait();
  EXPECT_EQ(disk_->statistics().throttled_wakeups, storm.throttled_wakeups);
}

// The backend answers and rings for nobody: looking once more before sleeping finds it.
TEST_F(HostileRing, F20_AnAnswerWithoutASignalIsSeenBeforeSleeping) {
  lane_->kick();
  const Wire::Request second = peer_->take();
  EXPECT_EQ(lane_->poll(), 0U);
  BackRing<Wire>& ring = *peer_->lane().ring;
  ring.put(wire_.id, blkif::kOpRead, blkif::Status::kOkay);
  (void)ring.publish();
  EXPECT_FALSE(lane_->prepare_to_wait());
  EXPECT_EQ(lane_->poll(), 1U);
  // And the other order: asleep first, then the backend has to ring.
  EXPECT_TRUE(lane_->prepare_to_wait());
  ring.put(second.id, blkif::kOpRead, blkif::Status::kOkay);
  EXPECT_TRUE(ring.publish());
}

}  // namespace
}  // namespace splitring::testing
