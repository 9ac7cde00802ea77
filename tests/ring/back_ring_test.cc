// The backend's end against a frontend that writes what it likes, whenever it likes.

#include "ring/back_ring.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "ring/front_ring.h"
#include "tests/support/ring/counting_memory.h"
#include "tests/support/ring/ring_pages.h"

namespace splitring {
namespace {

template <class WireType>
class BackRingTest : public ::testing::Test {
 protected:
  using Request = typename WireType::Request;

  static Request read_request(uint64_t id) {
    Request request{};
    request.operation = blkif::kOpRead;
    request.segment_count = 1;
    request.id = id;
    return request;
  }

  void publish_requests(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) front_.push(read_request(next_id_++), 1);
    (void)front_.publish();
  }
  uint64_t take() {
    Request request;
    back_.take(request);
    return request.id;
  }

  static constexpr uint32_t kSlots = 32;

  RingPages pages_;
  FrontRing<WireType> front_{pages_.bytes()};
  BackRing<WireType> back_{pages_.bytes()};
  uint64_t next_id_ = 100;
};

using Wires = ::testing::Types<blkif::Wire64, blkif::Wire32>;
TYPED_TEST_SUITE(BackRingTest, Wires);

TYPED_TEST(BackRingTest, AttachingWritesNothing) {
  RingPages pages(1, 0xA5);
  const std::vector<std::byte> before(pages.bytes().begin(), pages.bytes().end());
  const BackRing<TypeParam> ring(pages.bytes());
  EXPECT_TRUE(std::equal(before.begin(), before.end(), pages.data()));
  EXPECT_EQ(ring.consumed_index(), 0xA5A5A5A5U);
}

TYPED_TEST(BackRingTest, TakesRequestsInOrderAndAFullRingToo) {
  this->publish_requests(this->kSlots);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  ASSERT_EQ(this->back_.available(), this->kSlots);
  for (uint32_t i = 0; i < this->kSlots; i++) EXPECT_EQ(this->take(), 100 + i);
  EXPECT_EQ(this->back_.available(), 0U);
  EXPECT_EQ(this->back_.look(), RingState::kEmpty);
  EXPECT_EQ(this->back_.unanswered(), this->kSlots);
}

TYPED_TEST(BackRingTest, B1_MoreRequestsThanSlotsBreakTheRing) {
  for (const uint32_t too_many :
       {this->kSlots + 1, this->kSlots * 2, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    this->pages_.set_index(RingIndex::kRequestProducer, too_many);
    EXPECT_EQ(this->back_.look(), RingState::kBroken) << too_many;
    EXPECT_EQ(this->back_.available(), 0U) << "nothing of it may be processed";
  }
  this->pages_.set_index(RingIndex::kRequestProducer, this->kSlots);
  EXPECT_EQ(this->back_.look(), RingState::kReady);
}

TYPED_TEST(BackRingTest, B1_UnansweredRequestsStillHoldTheirSlots) {
  this->publish_requests(3);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  for (int i = 0; i < 3; i++) this->take();
  this->pages_.set_index(RingIndex::kRequestProducer, this->kSlots + 1);
  EXPECT_EQ(this->back_.look(), RingState::kBroken);
  this->back_.put(100, blkif::kOpRead, blkif::Status::kOkay);
  EXPECT_EQ(this->back_.look(), RingState::kReady) << "an answer frees one slot";
  EXPECT_EQ(this->back_.available(), this->kSlots - 2);
}

TYPED_TEST(BackRingTest, B1_RearmSeesItToo) {
  this->pages_.set_index(RingIndex::kRequestProducer, this->kSlots + 1);
  EXPECT_EQ(this->back_.rearm(), RingState::kBroken);
}

TYPED_TEST(BackRingTest, B2_AProducerBehindWhatWasTakenBreaksTheRing) {
  this->publish_requests(4);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  this->take();
  this->take();
  for (const uint32_t backwards : {1U, 0U, 0xffffffffU, 0x80000002U}) {
    this->pages_.set_index(RingIndex::kRequestProducer, backwards);
    EXPECT_EQ(this->back_.look(), RingState::kBroken) << backwards;
  }
}

TYPED_TEST(BackRingTest, B2_AProducerBehindWhatWasSeenBreaksTheRing) {
  this->publish_requests(4);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  this->take();
  for (const uint32_t backwards : {3U, 2U, 1U}) {
    this->pages_.set_index(RingIndex::kRequestProducer, backwards);
    EXPECT_EQ(this->back_.look(), RingState::kBroken) << backwards;
    EXPECT_EQ(this->back_.available(), 3U);
  }
}

TYPED_TEST(BackRingTest, B6_WhatThePeerWritesToTheOtherIndicesChangesNothingOfOurs) {
  std::mt19937 random(6);
  for (uint32_t round = 0; round < 1000; round++) {
    this->publish_requests(1);
    this->pages_.set_index(RingIndex::kResponseProducer, static_cast<uint32_t>(random()));
    this->pages_.set_index(RingIndex::kResponseEvent, static_cast<uint32_t>(random()));
    this->pages_.set_index(RingIndex::kRequestEvent, static_cast<uint32_t>(random()));
    ASSERT_EQ(this->back_.look(), RingState::kReady);
    ASSERT_EQ(this->back_.available(), 1U);
    const uint64_t id = this->take();
    ASSERT_EQ(id, 100 + round);
    this->back_.put(id, blkif::kOpRead, blkif::Status::kOkay);
    (void)this->back_.publish();
    ASSERT_EQ(this->back_.produced_index(), round + 1);
    ASSERT_EQ(this->pages_.index(RingIndex::kResponseProducer), round + 1);
    ASSERT_EQ(this->back_.rearm(), RingState::kEmpty);
    ASSERT_EQ(this->pages_.index(RingIndex::kRequestEvent), round + 2);
    typename TypeParam::Response response;
    ASSERT_EQ(this->front_.look(), RingState::kReady);
    this->front_.take(response);
    ASSERT_EQ(uint64_t{response.id}, id);
  }
}

// The fields of a response are where Xen's header puts them; everything else in it is padding.
TYPED_TEST(BackRingTest, B7_AResponseLeaksNothingAndTouchesNothingElse) {
  using Response = typename TypeParam::Response;
  constexpr uint8_t kFill = 0xA5;
  constexpr uint64_t kId = 0x1122334455667788;
  RingPages pages(1, kFill);
  BackRing<TypeParam> ring(pages.bytes(), 0);
  constexpr uint32_t kCount = 5;
  pages.set_index(RingIndex::kRequestProducer, kCount);
  ASSERT_EQ(ring.look(), RingState::kReady);
  typename TypeParam::Request request;
  for (uint32_t i = 0; i < kCount; i++) ring.take(request);
  for (uint32_t i = 0; i < kCount; i++)
    ring.put(kId + i, static_cast<uint8_t>(0xE0 + i), blkif::Status::kUnsupported);
  (void)ring.publish();

  std::vector<uint8_t> expected(kPageSize, kFill);
  const auto put = [&](size_t at, const auto& value) {
    std::memcpy(&expected[at], &value, sizeof value);
  };
  put(static_cast<size_t>(RingIndex::kRequestProducer), kCount);
  put(static_cast<size_t>(RingIndex::kResponseProducer), kCount);
  for (uint32_t i = 0; i < kCount; i++) {
    const size_t slot = kRingHeaderBytes + i * sizeof(typename TypeParam::Request);
    std::memset(&expected[slot], 0, sizeof(Response));
    put(slot, uint64_t{kId + i});
    put(slot + 8, static_cast<uint8_t>(0xE0 + i));
    put(slot + 10, int16_t{-2});
  }
  EXPECT_EQ(std::memcmp(pages.data(), expected.data(), kPageSize), 0);
}

TYPED_TEST(BackRingTest, B13_AFrontendThatTakesNoResponsesStopsAtOneRingOfRequests) {
  this->publish_requests(this->kSlots);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  uint32_t in_flight = 0;
  while (this->back_.available() != 0) {
    this->take();
    in_flight = std::max(in_flight, this->back_.unanswered());
  }
  EXPECT_EQ(in_flight, this->kSlots);
  EXPECT_EQ(this->front_.free_slots(), 0U);
  // It raises the producer without having room for an answer: the ring is broken, nothing grows.
  this->pages_.set_index(RingIndex::kRequestProducer, this->kSlots + 1);
  EXPECT_EQ(this->back_.look(), RingState::kBroken);
  EXPECT_EQ(this->back_.unanswered(), this->kSlots);
}

// Whatever a frontend does to the page, between any two steps.
TYPED_TEST(BackRingTest, B13_UnansweredNeverExceedTheSlots) {
  constexpr uint32_t kSeed = 13;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  RingPages pages;
  for (uint32_t life = 0; life < 300; life++) {
    const auto first = static_cast<uint32_t>(random());
    BackRing<TypeParam> ring(pages.bytes(), first);
    for (uint32_t step = 0; step < 300; step++) {
      const uint32_t producer = ring.consumed_index() + static_cast<uint32_t>(random() % 40);
      pages.set_index(RingIndex::kRequestProducer, producer);
      if (ring.look() == RingState::kBroken) break;
      typename TypeParam::Request request;
      for (auto n = random() % (ring.available() + 1); n > 0; n--) ring.take(request);
      ASSERT_LE(ring.unanswered(), ring.slots());
      ASSERT_LE(ring.available() + ring.unanswered(), ring.slots());
      for (auto n = random() % (ring.unanswered() + 1); n > 0; n--)
        ring.put(0, 0, blkif::Status::kOkay);
      (void)ring.publish();
    }
  }
}

TYPED_TEST(BackRingTest, B42_AFastAnswerMayOverwriteTheSlotOfASlowRequest) {
  this->publish_requests(2);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  typename TypeParam::Request slow;
  typename TypeParam::Request fast;
  this->back_.take(slow);
  this->back_.take(fast);
  this->back_.put(fast.id, fast.operation, blkif::Status::kOkay);
  (void)this->back_.publish();
  // Response 0 lies in slot 0 now; the slow request lives on only as the private copy.
  uint64_t in_slot_0 = 0;
  std::memcpy(&in_slot_0, this->pages_.slot(0, sizeof(slow)).data(), sizeof in_slot_0);
  EXPECT_EQ(in_slot_0, 101U);
  EXPECT_EQ(uint64_t{slow.id}, 100U);
  EXPECT_EQ(slow.segment_count, 1U);
  this->back_.put(slow.id, slow.operation, blkif::Status::kOkay);
  (void)this->back_.publish();

  typename TypeParam::Response response;
  ASSERT_EQ(this->front_.look(), RingState::kReady);
  this->front_.take(response);
  EXPECT_EQ(uint64_t{response.id}, 101U);
  this->front_.take(response);
  EXPECT_EQ(uint64_t{response.id}, 100U);
}

TYPED_TEST(BackRingTest, PublishNotifiesOnceForABatchAndNotAtAllForNothing) {
  EXPECT_FALSE(this->back_.publish());
  this->publish_requests(3);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  for (int i = 0; i < 3; i++) this->back_.put(this->take(), 0, blkif::Status::kOkay);
  EXPECT_TRUE(this->back_.publish());
  EXPECT_FALSE(this->back_.publish());
}

// T3: the counting memory sees every access that a ring makes.
TYPED_TEST(BackRingTest, B4_EveryByteOfARequestIsLoadedExactlyOnce) {
  constexpr size_t kSlotBytes = sizeof(typename TypeParam::Request);
  RingPages pages;
  FrontRing<TypeParam> front(pages.bytes());
  BackRing<TypeParam, CountingMemory> back(pages.bytes(), 0);
  for (uint32_t turn = 0; turn < 3; turn++) {
    for (uint32_t i = 0; i < this->kSlots; i++) front.push(this->read_request(i), 1);
    (void)front.publish();
    CountingMemory::watch(pages.bytes());
    ASSERT_EQ(back.look(), RingState::kReady);
    typename TypeParam::Request request;
    for (uint32_t i = 0; i < this->kSlots; i++) {
      back.take(request);
      back.put(request.id, request.operation, blkif::Status::kOkay);
    }
    (void)back.publish();
    const size_t end = kRingHeaderBytes + this->kSlots * kSlotBytes;
    for (size_t byte = kRingHeaderBytes; byte < end; byte++)
      ASSERT_EQ(CountingMemory::loads(byte), 1U) << "byte " << byte;
    for (size_t byte = end; byte < kPageSize; byte++)
      ASSERT_EQ(CountingMemory::loads(byte) + CountingMemory::stores(byte), 0U);
    // Each look is one load of the producer; our own producer and event are never read back.
    EXPECT_EQ(CountingMemory::loads(0), 1U);
    EXPECT_EQ(CountingMemory::loads(static_cast<size_t>(RingIndex::kResponseProducer)), 0U);
    EXPECT_EQ(CountingMemory::loads(static_cast<size_t>(RingIndex::kRequestEvent)), 0U);
    EXPECT_EQ(CountingMemory::loads(static_cast<size_t>(RingIndex::kResponseEvent)), 1U);
    typename TypeParam::Response response;
    ASSERT_EQ(front.look(), RingState::kReady);
    for (uint32_t i = 0; i < this->kSlots; i++) front.take(response);
  }
}

TYPED_TEST(BackRingTest, AReplacedBackendGoesOnWhereTheLastOneStopped) {
  this->publish_requests(2);
  ASSERT_EQ(this->back_.look(), RingState::kReady);
  for (int i = 0; i < 2; i++) this->back_.put(this->take(), 0, blkif::Status::kOkay);
  (void)this->back_.publish();
  this->publish_requests(1);
  BackRing<TypeParam> successor(this->pages_.bytes());
  ASSERT_EQ(successor.look(), RingState::kReady);
  ASSERT_EQ(successor.available(), 1U);
  typename TypeParam::Request request;
  successor.take(request);
  EXPECT_EQ(uint64_t{request.id}, 102U);
}

}  // namespace
}  // namespace splitring
