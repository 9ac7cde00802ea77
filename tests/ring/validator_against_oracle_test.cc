// The parser against the oracle, over random and boundary slots. `make check-exhaustive` walks
// every combination of the bytes that are only sampled here.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

#include "ring/blkif_request.h"
#include "tests/support/ring/slots.h"
#include "tests/support/ring/validator_comparison.h"
#include "tests/support/sanitized.h"

namespace splitring {
namespace {

using blkif::CheckedRequest;
using blkif::DiskLimits;
using blkif::Refusal;

constexpr uint64_t kSamples = test::often(5'000'000);
constexpr uint64_t kCapacity = 1000;  // a multiple of 8, so that it suits 4096-byte blocks too

template <class Wire>
class ValidatorAgainstOracle : public ::testing::Test {
 protected:
  ValidatorComparison<Wire> comparison_;
};

using Wires = ::testing::Types<blkif::Wire64, blkif::Wire32>;
TYPED_TEST_SUITE(ValidatorAgainstOracle, Wires);

// Some 200 values around everything that means something to a sector or a byte count.
std::vector<uint64_t> edge_sectors(uint64_t capacity) {
  std::vector<uint64_t> values;
  const auto around = [&](uint64_t centre, uint64_t reach) {
    for (uint64_t i = 0; i <= 2 * reach; i++) values.push_back(centre - reach + i);
  };
  around(0, 12);  // and the last ones before 2^64
  around(capacity, 20);
  for (const uint64_t segments : {1, 2, 10, 11, 12}) around(capacity - 8 * segments, 2);
  for (const unsigned shift : {9, 12, 16, 21, 31, 32, 33, 52, 54, 55, 56, 62, 63})
    around(uint64_t{1} << shift, 3);
  return values;
}

std::vector<DiskLimits> disks() {
  std::vector<DiskLimits> all;
  for (const uint64_t capacity :
       {uint64_t{0}, uint64_t{8}, kCapacity, uint64_t{1} << 32, uint64_t{1} << 54, UINT64_MAX - 7})
    for (const uint32_t block : {512U, 4096U})
      for (const uint16_t indirect : std::array<uint16_t, 4>{0, 1, 256, 4096})
        for (unsigned flags = 0; flags < 16; flags++)
          all.push_back({.capacity = {capacity},
                         .block_bytes = block,
                         .read_only = (flags & 1) != 0,
                         .barrier_offered = (flags & 2) != 0,
                         .flush_offered = (flags & 4) != 0,
                         .discard_offered = (flags & 8) != 0,
                         .indirect_segments_offered = indirect});
  return all;
}

TYPED_TEST(ValidatorAgainstOracle, EdgeSectorsAgreeWithTheOracle) {
  for (const DiskLimits& disk : disks()) {
    const auto sectors = edge_sectors(disk.capacity.count);
    ASSERT_GE(sectors.size(), 180U);
    for (const uint64_t sector : sectors) {
      for (const uint8_t operation : {blkif::kOpRead, blkif::kOpWrite, blkif::kOpFlushDiskcache,
                                      blkif::kOpWriteBarrier, blkif::kOpIndirect}) {
        for (const uint8_t segments : std::array<uint8_t, 7>{0, 1, 2, 10, 11, 12, 255}) {
          auto slot = Slots<TypeParam>::request(operation, segments);
          slot.sector = sector;
          ASSERT_TRUE(this->comparison_.judge(slot, disk)) << this->comparison_.describe(slot);
        }
      }
      for (const uint64_t length : {uint64_t{1}, uint64_t{8}, disk.capacity.count, sector,
                                    0 - sector, disk.capacity.count - sector, UINT64_MAX}) {
        const auto slot = Slots<TypeParam>::discard(sector, length);
        ASSERT_TRUE(this->comparison_.judge(slot, disk)) << this->comparison_.describe(slot);
      }
    }
  }
}

// Mostly near what is right, so that every check is reached, and now and then far from it.
template <class Wire, class Random>
void scramble(typename Wire::Request& slot, uint64_t capacity, Random& random) {
  const auto byte = [&] { return static_cast<uint8_t>(random()); };
  const auto one_in = [&](uint64_t n) { return random() % n == 0; };
  slot.operation = one_in(32) ? byte() : static_cast<uint8_t>(random() % 7);
  slot.segment_count = one_in(16) ? byte() : static_cast<uint8_t>(random() % 13);
  slot.handle = one_in(4) ? static_cast<uint16_t>(random()) : static_cast<uint16_t>(random() % 300);
  slot.id = random();
  const uint64_t end = capacity - random() % 100;
  slot.sector = one_in(8) ? random() : one_in(2) ? end : end & ~uint64_t{7};
  const bool whole_pages = one_in(2);
  for (auto& segment : slot.segments) {
    segment.ref = static_cast<uint32_t>(random());
    segment.first_sector = whole_pages ? 0 : static_cast<uint8_t>(random() % 8);
    segment.last_sector =
        whole_pages
            ? 7
            : static_cast<uint8_t>(segment.first_sector + random() % (8U - segment.first_sector));
    if (one_in(64)) segment.first_sector = byte();
    if (one_in(64)) segment.last_sector = byte();
  }
  if (slot.operation != blkif::kOpDiscard) return;
  typename Wire::Discard discard;
  std::memcpy(&discard, &slot, sizeof discard);
  if (!one_in(4)) discard.flags = 0;
  discard.sector_count = one_in(4) ? random() : random() % 200;
  std::memcpy(&slot, &discard, sizeof discard);
}

TYPED_TEST(ValidatorAgainstOracle, RandomSlotsAgreeWithTheOracle) {
  constexpr uint64_t kSeed = 0x0ac1e;
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  const auto all_disks = disks();
  std::vector<uint64_t> seen(blkif::kRefusalCount);
  typename TypeParam::Request slot{};
  for (uint64_t i = 0; i < kSamples; i++) {
    const DiskLimits& disk = all_disks[random() % all_disks.size()];
    scramble<TypeParam>(slot, disk.capacity.count, random);
    ASSERT_TRUE(this->comparison_.judge(slot, disk)) << this->comparison_.describe(slot);
    seen[static_cast<size_t>(this->comparison_.refusal())]++;
  }
  for (size_t i = 0; i < seen.size(); i++)
    EXPECT_GT(seen[i], kSamples / 10'000) << to_string(static_cast<Refusal>(i));
}

// ---- the segments of indirect requests ---------------------------------------------------------

struct IndirectCheck {
  Refusal refusal;
  Sectors length;
};

// Checks with both; fails the test if they differ.
IndirectCheck check_indirect(const std::vector<blkif::Segment>& wire, uint64_t first,
                             const DiskLimits& disk) {
  std::vector<blkif::CheckedSegment> checked(wire.size());
  std::vector<oracle::PageSectors> pages(wire.size());
  CheckedRequest request{};
  request.indirect = true;
  request.segment_count = static_cast<uint16_t>(wire.size());
  request.first = {first};
  const Refusal refusal = blkif::check_indirect_segments(wire, disk, checked, request);
  const auto opinion = oracle::judge_indirect(std::as_bytes(std::span(wire)), first, disk, pages);
  EXPECT_TRUE(oracle::agrees(opinion, pages, refusal, checked, request))
      << to_string(refusal) << " but the oracle says " << opinion.faults.names();
  return {refusal, request.length};
}

std::vector<blkif::Segment> whole_pages(size_t count) {
  return std::vector<blkif::Segment>(count,
                                     {.ref = 1, .first_sector = 0, .last_sector = 7, .padding = 0});
}

TEST(IndirectSegments, B21_AddUpToTheLengthOfTheRequest) {
  const DiskLimits disk = {.capacity = {4096 * 8}, .indirect_segments_offered = 4096};
  const auto all = check_indirect(whole_pages(4096), 0, disk);
  EXPECT_EQ(all.refusal, Refusal::kNone);
  EXPECT_EQ(all.length, Sectors{4096 * 8});
  EXPECT_EQ(check_indirect(whole_pages(4096), 1, disk).refusal, Refusal::kOutOfRange);
  EXPECT_EQ(check_indirect(whole_pages(1), UINT64_MAX, disk).refusal, Refusal::kOutOfRange);
}

TEST(IndirectSegments, B21_EveryOneIsChecked) {
  const DiskLimits disk = {.capacity = {4096 * 8}, .indirect_segments_offered = 256};
  for (const size_t bad : {size_t{0}, size_t{100}, size_t{255}}) {
    auto wire = whole_pages(256);
    wire[bad].last_sector = 8;
    EXPECT_EQ(check_indirect(wire, 0, disk).refusal, Refusal::kSegmentBounds) << bad;
    wire[bad] = {.ref = 1, .first_sector = 3, .last_sector = 2, .padding = 0};
    EXPECT_EQ(check_indirect(wire, 0, disk).refusal, Refusal::kSegmentBounds) << bad;
  }
}

TEST(IndirectSegments, B21_RandomOnesAgreeWithTheOracle) {
  constexpr uint64_t kSeed = 0x1d12ec7;
  SCOPED_TRACE(::testing::Message() << "seed " << kSeed);
  std::mt19937_64 random(kSeed);
  uint64_t accepted = 0;
  constexpr int kRounds = 30'000;
  for (int round = 0; round < kRounds; round++) {
    auto wire = whole_pages(1 + random() % (random() % 16 == 0 ? 4096 : 40));
    const DiskLimits disk = {.capacity = {random() % 20 == 0 ? random() : 1000},
                             .block_bytes = random() % 2 == 0 ? 512U : 4096U,
                             .indirect_segments_offered = 4096};
    for (uint64_t n = random() % 3; n > 0; n--) {
      auto& segment = wire[random() % wire.size()];
      segment.ref = static_cast<uint32_t>(random());
      segment.first_sector = static_cast<uint8_t>(random() % (random() % 4 == 0 ? 256 : 8));
      segment.last_sector = static_cast<uint8_t>(random() % (random() % 4 == 0 ? 256 : 8));
    }
    const uint64_t first = random() % 8 == 0 ? random() : random() % 1000 & ~uint64_t{7};
    accepted += check_indirect(wire, first, disk).refusal == Refusal::kNone ? 1 : 0;
    if (::testing::Test::HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(accepted, kRounds / 20);
}

}  // namespace
}  // namespace splitring
