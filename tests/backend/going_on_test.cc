// A pump that goes on where another one was killed: every request is answered once, and what was
// answered is true.
#include <algorithm>
#include <cstring>
#include <random>

#include "ring/back_ring.h"
#include "tests/backend/backend_suite.h"
#include "tests/backend/random_load.h"

namespace splitring::backend {
namespace {

class GoingOn : public AllWays {};
INSTANTIATE_TEST_SUITE_P(AllWays, GoingOn, SPLITRING_ALL_WAYS, way_name);

TEST_P(GoingOn, AnswersEachOfManyOnceThoughKilledAgainAndAgain) {
  for (const uint32_t ring_pages : {1U, 4U}) {
    BenchOptions options = defaults();
    options.ring_pages = ring_pages;
    options.first_index = 0xffffffe0;  // across the wrap of the indices
    if (ring_pages == 4) options.mapped_pages = options.copy_pages = options.indirect_segments;
    PumpBench bench(options);
    const uint32_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLoad load(bench, seed);
    for (int round = 0; round < 300; round++) {
      bench.disk->withhold(true);
      load.push_some();
      load.collect(bench.serve());
      load.release_some();
      if (load.once_in(2)) bench.settle();
      if (!load.once_in(4)) bench.kill();
    }
    bench.disk->withhold(false);
    load.collect(bench.serve());
    load.expect_all_answered();
  }
}

TEST_P(GoingOn, MovesTheBytesOfWhatWasUnderWay) {
  PumpBench bench(defaults());
  fill(bench.page(0), 1);
  fill(bench.page(1), 2);
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 8, {segment(0), segment(1, 2, 5)}));
  bench.write_indirect_page(40, std::vector{segment(1), segment(0)});
  HandIndirect indirect{
      .inner_operation = blkif::kOpWrite, .id = 2, .sector = 100, .segment_count = 2};
  indirect.page_refs[0] = PumpBench::ref(40);
  bench.frontend->push(indirect);
  bench.frontend->push_discard(3, 0, 8);
  EXPECT_TRUE(bench.serve().empty());
  bench.kill();
  bench.disk->withhold(false);
  EXPECT_EQ(bench.serve().size(), 3U);
  const auto disk = bench.disk->bytes();
  EXPECT_EQ(std::memcmp(disk.data() + 8 * kSectorSize, bench.page(0).data(), kPageSize), 0);
  EXPECT_EQ(std::memcmp(disk.data() + 16 * kSectorSize, bench.page(1).data() + 1024, 2048), 0);
  EXPECT_EQ(std::memcmp(disk.data() + 100 * kSectorSize, bench.page(1).data(), kPageSize), 0);
  EXPECT_EQ(bench.ask(read_request(4, 8, {segment(2)})).status, kOkay);
  EXPECT_TRUE(std::ranges::equal(bench.page(2), bench.page(0)));
}

// The answer to the second request lies in the slot of the first.
TEST_P(GoingOn, KnowsARequestWhoseSlotHoldsAnAnswer) {
  PumpBench bench(defaults());
  fill(bench.page(0), 1);
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 8, {segment(0)}));
  bench.frontend->push(write_request(2, 16, {segment(1)}));
  EXPECT_TRUE(bench.serve().empty());
  bench.disk->release(1);
  EXPECT_EQ(bench.serve().at(0).id, 2U);
  bench.kill();
  bench.disk->withhold(false);
  EXPECT_EQ(bench.serve().at(0).id, 1U);
  EXPECT_EQ(
      std::memcmp(bench.disk->bytes().data() + 8 * kSectorSize, bench.page(0).data(), kPageSize),
      0);
}

TEST_P(GoingOn, ABarrierStillWaitsForAllBeforeAndHoldsBackAllAfter) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 0, {segment(0)}));
  HandRequest barrier = write_request(2, 16, {segment(0)});
  barrier.operation = blkif::kOpWriteBarrier;
  bench.frontend->push(barrier);
  bench.frontend->push(read_request(3, 24, {segment(1)}));
  EXPECT_TRUE(bench.serve().empty());
  bench.kill();
  bench.settle();
  ASSERT_EQ(bench.disk->held(), 1U) << "the barrier, or what follows it, has started";
  bench.disk->withhold(false);
  const auto answers = bench.serve();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[1].id, 2U);
  EXPECT_EQ(answers[2].id, 3U);
}

TEST_P(GoingOn, WhatIsRefusedIsRefusedOnce) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 0, {segment(0)}));
  bench.frontend->push(write_request(2, 1U << 20, {segment(0)}));
  EXPECT_EQ(bench.serve().size(), 1U);
  bench.kill();
  bench.disk->withhold(false);
  EXPECT_EQ(bench.serve().at(0).id, 1U);
}

// The stores of one answer, each of which may have been the last: the answer, that it is one, that
// it is published, the doorbell.
TEST_P(GoingOn, AnyStoreOfAnAnswerMayHaveBeenTheLast) {
  for (int last = 0; last < 3; last++) {
    SCOPED_TRACE(last);
    PumpBench bench(defaults());
    bench.disk->withhold(true);
    bench.frontend->push(write_request(1, 0, {segment(0)}));
    bench.frontend->push(write_request(2, 8, {segment(0)}));
    EXPECT_TRUE(bench.serve().empty());
    const auto by_hand = [&]<class Wire>(BackRing<Wire> ring) {
      ring.put(1, blkif::kOpWrite, blkif::Status::kOkay);
      if (last >= 1) bench.journal->answered(bench.journal->unanswered().front());
      if (last >= 2) static_cast<void>(ring.publish());
    };
    if (std::get<0>(GetParam()) == blkif::Abi::kX86_32)
      by_hand(BackRing<blkif::Wire32>(bench.ring.bytes(), 2, 0));
    else
      by_hand(BackRing<blkif::Wire64>(bench.ring.bytes(), 2, 0));
    const uint64_t rung = bench.channel.notifications();
    bench.kill();
    EXPECT_GT(bench.channel.notifications(), rung) << "nobody may have rung for it";
    bench.disk->withhold(false);
    const auto answers = bench.serve();
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_NE(answers[0].id, answers[1].id);
  }
}

TEST_P(GoingOn, AHostileFrontendGainsNothingFromAKill) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 0, {segment(0)}));
  EXPECT_TRUE(bench.serve().empty());
  bench.ring.set_index(RingIndex::kResponseProducer, 77);
  bench.ring.set_index(RingIndex::kRequestProducer, 1000);
  bench.kill();
  bench.disk->withhold(false);
  bench.settle();
  EXPECT_TRUE(bench.pump->broken());
  EXPECT_EQ(bench.journal->unanswered().size(), 0U) << "what was taken is done nevertheless";
}

}  // namespace
}  // namespace splitring::backend
