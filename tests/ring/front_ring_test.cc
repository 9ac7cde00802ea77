// The frontend's end against a backend that writes what it likes, whenever it likes.

#include "ring/front_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "ring/back_ring.h"
#include "tests/support/ring/counting_memory.h"
#include "tests/support/ring/ring_pages.h"

namespace splitring {
namespace {

template <class WireType>
class FrontRingTest : public ::testing::Test {
 protected:
  using Request = typename WireType::Request;

  static Request request(uint64_t id) {
    Request value{};
    value.id = id;
    value.sector = id * 8;
    return value;
  }

  void publish(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) front_.push(request(i), 0);
    (void)front_.publish();
  }

  static constexpr uint32_t kSlots = 32;
  static constexpr size_t kSlotBytes = sizeof(Request);

  RingPages pages_{1, 0xA5};
  FrontRing<WireType> front_{pages_.bytes()};
};

using Wires = ::testing::Types<blkif::Wire64, blkif::Wire32>;
TYPED_TEST_SUITE(FrontRingTest, Wires);

TYPED_TEST(FrontRingTest, InitialisesEveryByteOfItsPages) {
  RingPages expected;
  expected.set_index(RingIndex::kRequestEvent, 1);
  expected.set_index(RingIndex::kResponseEvent, 1);
  EXPECT_TRUE(std::ranges::equal(this->pages_.bytes(), expected.bytes()));
}

TYPED_TEST(FrontRingTest, HoldsOneRequestPerSlotUntilItsResponseIsTaken) {
  BackRing<TypeParam> back(this->pages_.bytes());
  EXPECT_EQ(this->front_.free_slots(), this->kSlots);
  this->publish(this->kSlots);
  EXPECT_EQ(this->front_.free_slots(), 0U);
  ASSERT_EQ(back.look(), RingState::kReady);
  typename TypeParam::Request request;
  back.take(request);
  back.put(request.id, 0, blkif::Status::kOkay);
  (void)back.publish();
  ASSERT_EQ(this->front_.look(), RingState::kReady);
  EXPECT_EQ(this->front_.free_slots(), 0U);
  typename TypeParam::Response response;
  this->front_.take(response);
  EXPECT_EQ(this->front_.free_slots(), 1U);
}

TYPED_TEST(FrontRingTest, RequestsAreInvisibleUntilPublished) {
  this->front_.push(this->request(1), 0);
  EXPECT_EQ(this->pages_.index(RingIndex::kRequestProducer), 0U);
  EXPECT_TRUE(this->front_.publish());
  EXPECT_EQ(this->pages_.index(RingIndex::kRequestProducer), 1U);
  EXPECT_FALSE(this->front_.publish());
}

TYPED_TEST(FrontRingTest, F1_MoreResponsesThanRequestsBreakTheRing) {
  this->publish(3);
  for (const uint32_t too_many :
       {4U, this->kSlots, this->kSlots + 1, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    this->pages_.set_index(RingIndex::kResponseProducer, too_many);
    EXPECT_EQ(this->front_.look(), RingState::kBroken) << too_many;
    EXPECT_EQ(this->front_.rearm(), RingState::kBroken) << too_many;
    EXPECT_EQ(this->front_.available(), 0U);
  }
  this->pages_.set_index(RingIndex::kResponseProducer, 3);
  EXPECT_EQ(this->front_.look(), RingState::kReady);
}

TYPED_TEST(FrontRingTest, F1_AResponseToARequestThatWasNotPublishedBreaksTheRing) {
  this->publish(1);
  this->front_.push(this->request(1), 0);
  this->pages_.set_index(RingIndex::kResponseProducer, 2);
  EXPECT_EQ(this->front_.look(), RingState::kBroken);
}

TYPED_TEST(FrontRingTest, F2_AProducerThatGoesBackwardsBreaksTheRing) {
  this->publish(5);
  this->pages_.set_index(RingIndex::kResponseProducer, 4);
  ASSERT_EQ(this->front_.look(), RingState::kReady);
  typename TypeParam::Response response;
  this->front_.take(response);
  // Behind what was seen, behind what was taken, far behind.
  for (const uint32_t backwards : {3U, 1U, 0U, 0xffffffffU, 0x80000001U}) {
    this->pages_.set_index(RingIndex::kResponseProducer, backwards);
    EXPECT_EQ(this->front_.look(), RingState::kBroken) << backwards;
  }
  this->pages_.set_index(RingIndex::kResponseProducer, 5);
  EXPECT_EQ(this->front_.look(), RingState::kReady);
  EXPECT_EQ(this->front_.available(), 4U);
}

TYPED_TEST(FrontRingTest, F8_EveryByteOfAResponseIsLoadedExactlyOnce) {
  RingPages pages;
  CountingMemory::watch(pages.bytes());
  FrontRing<TypeParam, CountingMemory> front(pages.bytes());
  BackRing<TypeParam> back(pages.bytes());
  for (uint32_t turn = 0; turn < 3; turn++) {
    for (uint32_t i = 0; i < this->kSlots; i++) front.push(this->request(i), 0);
    (void)front.publish();
    ASSERT_EQ(back.look(), RingState::kReady);
    typename TypeParam::Request request;
    for (uint32_t i = 0; i < this->kSlots; i++) {
      back.take(request);
      back.put(request.id, 0, blkif::Status::kOkay);
    }
    (void)back.publish();
    CountingMemory::watch(pages.bytes());
    ASSERT_EQ(front.look(), RingState::kReady);
    typename TypeParam::Response response;
    for (uint32_t i = 0; i < this->kSlots; i++) front.take(response);
    for (uint32_t byte = kRingHeaderBytes; byte < kPageSize; byte++) {
      const size_t in_slot = (byte - kRingHeaderBytes) % this->kSlotBytes;
      const bool in_a_slot = byte < kRingHeaderBytes + this->kSlots * this->kSlotBytes;
      const uint32_t expected = in_a_slot && in_slot < sizeof response ? 1 : 0;
      ASSERT_EQ(CountingMemory::loads(byte), expected) << "byte " << byte;
    }
    EXPECT_EQ(CountingMemory::loads(static_cast<size_t>(RingIndex::kResponseProducer)), 1U);
  }
}

TYPED_TEST(FrontRingTest, F9_ARequestSlotIsNeverReadBack) {
  RingPages pages;
  CountingMemory::watch(pages.bytes());
  FrontRing<TypeParam, CountingMemory> front(pages.bytes());
  for (uint32_t i = 0; i < this->kSlots; i++) front.push(this->request(i), blkif::kMaxSegments);
  (void)front.publish();
  // A backend edits every slot, and our own indices, before it answers.
  std::ranges::fill(pages.bytes().subspan(kRingHeaderBytes), std::byte{0xFF});
  pages.set_index(RingIndex::kRequestProducer, 0xdeadbeef);
  EXPECT_EQ(front.look(), RingState::kEmpty);
  EXPECT_EQ(front.rearm(), RingState::kEmpty);
  EXPECT_EQ(front.free_slots(), 0U);
  EXPECT_FALSE(front.publish());
  for (size_t byte = kRingHeaderBytes; byte < kPageSize; byte++)
    ASSERT_EQ(CountingMemory::loads(byte), 0U) << "byte " << byte;
  EXPECT_EQ(CountingMemory::loads(static_cast<size_t>(RingIndex::kRequestProducer)), 0U);
}

TYPED_TEST(FrontRingTest, WritesNoMoreThanTheSegmentsInUse) {
  constexpr uint32_t kSegments = 2;
  constexpr size_t kUsed = offsetof(typename TypeParam::Request, segments) + kSegments * 8;
  std::ranges::fill(this->pages_.slot(0, this->kSlotBytes), std::byte{0x77});
  this->front_.push(this->request(9), kSegments);
  const auto slot = this->pages_.slot(0, this->kSlotBytes);
  EXPECT_FALSE(std::ranges::count(slot.first(kUsed), std::byte{0x77}));
  EXPECT_EQ(std::ranges::count(slot.subspan(kUsed), std::byte{0x77}),
            static_cast<ptrdiff_t>(this->kSlotBytes - kUsed));
}

TYPED_TEST(FrontRingTest, StartsAnywhereAndWraps) {
  RingPages pages;
  constexpr uint32_t kFirst = 0xfffffff0;
  FrontRing<TypeParam> front(pages.bytes(), kFirst);
  BackRing<TypeParam> back(pages.bytes());
  for (uint64_t id = 0; id < 100; id++) {
    front.push(this->request(id), 0);
    EXPECT_TRUE(front.publish());
    ASSERT_EQ(back.look(), RingState::kReady);
    typename TypeParam::Request request;
    back.take(request);
    ASSERT_EQ(uint64_t{request.id}, id);
    back.put(id, 0, blkif::Status::kOkay);
    EXPECT_TRUE(back.publish());
    ASSERT_EQ(back.rearm(), RingState::kEmpty);
    ASSERT_EQ(front.look(), RingState::kReady);
    typename TypeParam::Response response;
    front.take(response);
    ASSERT_EQ(uint64_t{response.id}, id);
    ASSERT_EQ(front.rearm(), RingState::kEmpty);
  }
}

}  // namespace
}  // namespace splitring
