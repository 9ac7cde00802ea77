// The one parser, row by row of what a frontend may do wrong, each answer confirmed by the
// oracle.

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "ring/blkif_request.h"
#include "tests/support/ring/slots.h"
#include "tests/support/ring/validator_comparison.h"

namespace splitring {
namespace {

using blkif::Action;
using blkif::CheckedRequest;
using blkif::DiskLimits;
using blkif::Refusal;
using blkif::Status;

constexpr uint64_t kCapacity = 1000;  // a multiple of 8, so that it suits 4096-byte blocks too

DiskLimits everything_offered() {
  return {.capacity = {kCapacity},
          .barrier_offered = true,
          .discard_offered = true,
          .indirect_segments_offered = 256};
}

template <class Wire>
class Validator : public ::testing::Test, protected Slots<Wire> {
 protected:
  using Request = typename Wire::Request;

  // The oracle's word is asked for along with every answer.
  Refusal check(const Request& slot) {
    EXPECT_TRUE(comparison_.judge(slot, disk_)) << comparison_.describe(slot);
    return comparison_.refusal();
  }
  Status answer(const Request& slot) { return status_of(check(slot)); }
  const CheckedRequest& checked() { return comparison_.request(); }

  DiskLimits disk_ = everything_offered();
  ValidatorComparison<Wire> comparison_;
};

using Wires = ::testing::Types<blkif::Wire64, blkif::Wire32>;
TYPED_TEST_SUITE(Validator, Wires);

TYPED_TEST(Validator, AReadBecomesBytesOfPages) {
  auto slot = this->request(blkif::kOpRead, 2);
  slot.segments[0] = {.ref = 7, .first_sector = 2, .last_sector = 3, .padding = 0xffff};
  slot.segments[1] = {.ref = 8, .first_sector = 7, .last_sector = 7, .padding = 0};
  slot.sector = 5;
  ASSERT_EQ(this->check(slot), Refusal::kNone);
  const CheckedRequest& request = this->checked();
  EXPECT_EQ(request.action, Action::kRead);
  EXPECT_EQ(request.id, uint64_t{slot.id});
  EXPECT_EQ(request.first, Sectors{5});
  EXPECT_EQ(request.length, Sectors{3});
  ASSERT_EQ(request.segment_count, 2);
  EXPECT_EQ(request.segments[0].ref, 7U);
  EXPECT_EQ(request.segments[0].byte_offset, 1024);
  EXPECT_EQ(request.segments[0].byte_count, 1024);
  EXPECT_EQ(request.segments[1].byte_offset, 3584);
  EXPECT_EQ(request.segments[1].byte_count, 512);
}

TYPED_TEST(Validator, B14_UnknownOperationsAreUnsupportedAndEchoed) {
  for (unsigned operation = 0; operation < 256; operation++) {
    const bool known = operation <= 3 || operation == 5 || operation == 6;
    const auto slot = this->request(static_cast<uint8_t>(operation));
    const Refusal refusal = this->check(slot);
    EXPECT_EQ(refusal == Refusal::kUnknownOperation, !known) << operation;
    EXPECT_EQ(this->checked().id, uint64_t{slot.id});
    if (known) continue;
    EXPECT_EQ(status_of(refusal), Status::kUnsupported);
    EXPECT_EQ(this->checked().response_operation, operation);
  }
}

TYPED_TEST(Validator, B15_NoSegmentsIsAnErrorExceptForAFlush) {
  EXPECT_EQ(this->check(this->request(blkif::kOpRead, 0)), Refusal::kSegmentCount);
  EXPECT_EQ(this->check(this->request(blkif::kOpWrite, 0)), Refusal::kSegmentCount);
  EXPECT_EQ(this->check(this->request(blkif::kOpFlushDiskcache, 0)), Refusal::kNone);
  EXPECT_EQ(this->checked().action, Action::kFlush);
  EXPECT_EQ(this->check(this->request(blkif::kOpWriteBarrier, 0)), Refusal::kNone);
  EXPECT_EQ(this->checked().action, Action::kBarrier);
  EXPECT_EQ(this->check(this->request(blkif::kOpFlushDiskcache, 1)), Refusal::kNone);
  EXPECT_EQ(this->checked().action, Action::kFlushWrite);
  EXPECT_EQ(this->check(this->request(blkif::kOpWriteBarrier, 1)), Refusal::kNone);
  EXPECT_EQ(this->checked().action, Action::kBarrierWrite);
  EXPECT_EQ(status_of(Refusal::kSegmentCount), Status::kError);
}

TYPED_TEST(Validator, B16_MoreSegmentsThanTheSlotHoldsAreRefusedForTheirNumber) {
  for (const uint8_t operation :
       {blkif::kOpRead, blkif::kOpWrite, blkif::kOpFlushDiskcache, blkif::kOpWriteBarrier}) {
    EXPECT_EQ(this->check(this->request(operation, 11)), Refusal::kNone);
    for (unsigned count = 12; count < 256; count++)
      EXPECT_EQ(this->check(this->request(operation, static_cast<uint8_t>(count))),
                Refusal::kSegmentCount)
          << count;
  }
}

TYPED_TEST(Validator, B17_ASegmentLiesForwardsWithinItsPage) {
  auto slot = this->request(blkif::kOpRead, 3);
  for (unsigned first = 0; first < 256; first++) {
    for (unsigned last = 0; last < 256; last++) {
      slot.segments[1].first_sector = static_cast<uint8_t>(first);
      slot.segments[1].last_sector = static_cast<uint8_t>(last);
      const bool good = first <= last && last <= 7;
      ASSERT_EQ(this->check(slot), good ? Refusal::kNone : Refusal::kSegmentBounds)
          << first << ".." << last;
    }
  }
  EXPECT_EQ(status_of(Refusal::kSegmentBounds), Status::kError);
}

TYPED_TEST(Validator, B18_ARequestEndsAtTheEndOfTheDiskAtTheLatest) {
  auto slot = this->request(blkif::kOpWrite, 2);  // 16 sectors
  const auto at = [&](uint64_t sector) {
    slot.sector = sector;
    return this->check(slot);
  };
  EXPECT_EQ(at(kCapacity - 16), Refusal::kNone);
  EXPECT_EQ(at(kCapacity - 15), Refusal::kOutOfRange);
  EXPECT_EQ(at(kCapacity), Refusal::kOutOfRange);
  for (const uint64_t sector : {UINT64_MAX, UINT64_MAX - 15, UINT64_MAX - 16, UINT64_MAX / 2,
                                UINT64_MAX / 512, uint64_t{1} << 55, uint64_t{1} << 63})
    EXPECT_EQ(at(sector), Refusal::kOutOfRange) << sector;
  EXPECT_EQ(status_of(Refusal::kOutOfRange), Status::kError);
  this->disk_.capacity = {15};
  EXPECT_EQ(at(0), Refusal::kOutOfRange);
  this->disk_.capacity = {0};
  EXPECT_EQ(at(0), Refusal::kOutOfRange);
}

TYPED_TEST(Validator, B19_ADiskOf4096ByteBlocksTakesWholeBlocksOnly) {
  this->disk_.block_bytes = 4096;
  auto slot = this->request(blkif::kOpRead);
  EXPECT_EQ(this->check(slot), Refusal::kNone);
  slot.sector = 8;  // units stay 512 bytes
  EXPECT_EQ(this->check(slot), Refusal::kNone);
  slot.sector = 1;
  EXPECT_EQ(this->check(slot), Refusal::kMisaligned);
  slot.sector = kCapacity - 8;
  EXPECT_EQ(this->check(slot), Refusal::kNone);
  slot.sector = 0;
  for (unsigned first = 0; first < 8; first++)
    for (unsigned last = first; last < 8; last++) {
      slot.segments[0].first_sector = static_cast<uint8_t>(first);
      slot.segments[0].last_sector = static_cast<uint8_t>(last);
      EXPECT_EQ(this->check(slot), first == 0 && last == 7 ? Refusal::kNone : Refusal::kMisaligned);
    }
  EXPECT_EQ(status_of(Refusal::kMisaligned), Status::kError);
}

TYPED_TEST(Validator, B20_NothingChangesAReadOnlyDisk) {
  this->disk_.read_only = true;
  EXPECT_EQ(this->check(this->request(blkif::kOpRead)), Refusal::kNone);
  EXPECT_EQ(this->check(this->request(blkif::kOpFlushDiskcache, 0)), Refusal::kNone);
  EXPECT_EQ(this->check(this->request(blkif::kOpWriteBarrier, 0)), Refusal::kNone);
  EXPECT_EQ(this->check(this->request(blkif::kOpWrite)), Refusal::kReadOnly);
  EXPECT_EQ(this->check(this->request(blkif::kOpFlushDiskcache)), Refusal::kReadOnly);
  EXPECT_EQ(this->check(this->request(blkif::kOpWriteBarrier)), Refusal::kReadOnly);
  EXPECT_EQ(this->check(this->discard(0, 8)), Refusal::kReadOnly);
  EXPECT_NE(this->check(this->discard(0, 8, blkif::kDiscardSecure)), Refusal::kNone);
  EXPECT_EQ(this->check(this->indirect(blkif::kOpWrite, 4)), Refusal::kReadOnly);
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 4)), Refusal::kNone);
  EXPECT_EQ(status_of(Refusal::kReadOnly), Status::kError);
}

TYPED_TEST(Validator, B21_AnIndirectRequestReadsOrWritesAsManySegmentsAsWereOffered) {
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 1)), Refusal::kNone);
  EXPECT_EQ(this->check(this->indirect(blkif::kOpWrite, 256)), Refusal::kNone);
  EXPECT_EQ(this->checked().response_operation, blkif::kOpWrite) << "the inner one";
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 0)), Refusal::kSegmentCount);
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 257)), Refusal::kSegmentCount);
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 65535)), Refusal::kSegmentCount);
  for (unsigned inner = 2; inner < 256; inner++)  // nested ones among them
    EXPECT_EQ(this->check(this->indirect(static_cast<uint8_t>(inner), 1)),
              Refusal::kIndirectOperation);
  for (const Refusal refusal :
       {Refusal::kSegmentCount, Refusal::kIndirectOperation, Refusal::kIndirectNotOffered})
    EXPECT_EQ(status_of(refusal), Status::kError);
  this->disk_.indirect_segments_offered = 0;
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 1)), Refusal::kIndirectNotOffered);
}

TYPED_TEST(Validator, B21_IndirectPagesAreAsManyAsTheSegmentsNeed) {
  this->disk_.indirect_segments_offered = blkif::kMaxIndirectSegments;
  for (const auto& [segments, pages] : std::vector<std::pair<uint16_t, size_t>>{
           {1, 1}, {511, 1}, {512, 1}, {513, 2}, {1024, 2}, {1025, 3}, {4096, 8}}) {
    ASSERT_EQ(this->check(this->indirect(blkif::kOpRead, segments)), Refusal::kNone);
    EXPECT_EQ(this->checked().indirect_page_count(), pages) << segments;
  }
  EXPECT_EQ(this->check(this->indirect(blkif::kOpRead, 4097)), Refusal::kSegmentCount);
}

TYPED_TEST(Validator, B22_TheHandleIsIgnored) {
  auto slot = this->request(blkif::kOpRead);
  for (unsigned handle = 0; handle < 65536; handle++) {
    slot.handle = static_cast<uint16_t>(handle);
    ASSERT_EQ(this->check(slot), Refusal::kNone);
  }
}

TYPED_TEST(Validator, B23_ADiscardLiesOnTheDisk) {
  EXPECT_EQ(this->check(this->discard(0, kCapacity)), Refusal::kNone);
  EXPECT_EQ(this->checked().action, Action::kDiscard);
  EXPECT_EQ(this->checked().length, Sectors{kCapacity});
  EXPECT_EQ(this->check(this->discard(kCapacity - 1, 1)), Refusal::kNone);
  EXPECT_EQ(this->check(this->discard(0, 0)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(kCapacity, 0)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(0, kCapacity + 1)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(kCapacity, 1)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(0, UINT64_MAX)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(1, UINT64_MAX)), Refusal::kOutOfRange);
  EXPECT_EQ(this->check(this->discard(UINT64_MAX, UINT64_MAX)), Refusal::kOutOfRange);
  this->disk_.block_bytes = 4096;
  EXPECT_EQ(this->check(this->discard(8, 16)), Refusal::kNone);
  EXPECT_EQ(this->check(this->discard(4, 16)), Refusal::kMisaligned);
  EXPECT_EQ(this->check(this->discard(8, 4)), Refusal::kMisaligned);
}

TYPED_TEST(Validator, B23_ADiscardThatWasNotOfferedIsUnsupported) {
  for (unsigned flags = 1; flags < 256; flags++)
    EXPECT_EQ(this->check(this->discard(0, 8, static_cast<uint8_t>(flags))),
              Refusal::kDiscardFlags);
  EXPECT_EQ(status_of(Refusal::kDiscardFlags), Status::kUnsupported);
  this->disk_.discard_offered = false;
  EXPECT_EQ(this->answer(this->discard(0, 8)), Status::kUnsupported);
}

TYPED_TEST(Validator, FlushAndBarrierThatWereNotOfferedAreUnsupported) {
  this->disk_.flush_offered = false;
  this->disk_.barrier_offered = false;
  for (const uint8_t segments : std::array<uint8_t, 3>{0, 1, 12}) {
    EXPECT_EQ(this->answer(this->request(blkif::kOpFlushDiskcache, segments)),
              Status::kUnsupported);
    EXPECT_EQ(this->answer(this->request(blkif::kOpWriteBarrier, segments)), Status::kUnsupported);
  }
}

TYPED_TEST(Validator, B24_AnIdIsEchoedWhateverItIs) {
  auto slot = this->request(blkif::kOpRead);
  for (const uint64_t id : {uint64_t{0}, uint64_t{1}, UINT64_MAX, uint64_t{1} << 63}) {
    slot.id = id;
    EXPECT_EQ(this->check(slot), Refusal::kNone);
    EXPECT_EQ(this->checked().id, id);
    EXPECT_EQ(this->check(slot), Refusal::kNone) << "twice";
    EXPECT_EQ(this->checked().id, id);
  }
}

TYPED_TEST(Validator, B25_OneRefMayServeManySegments) {
  auto slot = this->request(blkif::kOpRead, 11);
  for (auto& segment : slot.segments) segment.ref = 9;
  ASSERT_EQ(this->check(slot), Refusal::kNone);
  for (const auto& segment : this->checked().segments) EXPECT_EQ(segment.ref, 9U);
}

}  // namespace
}  // namespace splitring
