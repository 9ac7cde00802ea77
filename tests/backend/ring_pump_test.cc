// The pump with a frontend that keeps the protocol: data, order, barriers, and one answer each.
#include <algorithm>
#include <cstring>
#include <random>

#include "tests/backend/backend_suite.h"
#include "tests/backend/random_load.h"

namespace splitring::backend {
namespace {

class RingPump : public AllWays {};
INSTANTIATE_TEST_SUITE_P(AllWays, RingPump, SPLITRING_ALL_WAYS, way_name);

TEST_P(RingPump, MovesTheBytesOfEverySegmentBothWays) {
  PumpBench bench(defaults());
  fill(bench.page(0), 1);
  fill(bench.page(1), 2);
  EXPECT_EQ(
      bench.ask(write_request(1, 100, {segment(1, 2, 5), segment(0), segment(1, 7, 7)})).status,
      kOkay);
  const auto disk = bench.disk->bytes();
  const auto* at = disk.data() + 100 * kSectorSize;
  EXPECT_EQ(std::memcmp(at, bench.page(1).data() + 1024, 2048), 0);
  EXPECT_EQ(std::memcmp(at + 2048, bench.page(0).data(), 4096), 0);
  EXPECT_EQ(std::memcmp(at + 6144, bench.page(1).data() + 3584, 512), 0);

  EXPECT_EQ(
      bench.ask(read_request(2, 100, {segment(4, 0, 3), segment(5), segment(6, 0, 0)})).status,
      kOkay);
  EXPECT_EQ(std::memcmp(at, bench.page(4).data(), 2048), 0);
  EXPECT_EQ(std::memcmp(at + 2048, bench.page(5).data(), 4096), 0);
  EXPECT_EQ(std::memcmp(at + 6144, bench.page(6).data(), 512), 0);
  EXPECT_EQ(bench.page(6)[512], std::byte{0}) << "beyond what was asked for";
}

TEST_P(RingPump, MovesTheBytesOfAnIndirectRequestAndAnswersWithItsInnerOperation) {
  PumpBench bench(defaults());
  std::vector<blkif::Segment> segments;
  for (uint32_t i = 0; i < 32; i++) {
    fill(bench.page(i), i);
    segments.push_back(segment(i));
  }
  bench.write_indirect_page(40, segments);
  HandIndirect request{.inner_operation = blkif::kOpWrite, .id = 9, .segment_count = 32};
  request.page_refs[0] = PumpBench::ref(40);
  HandAnswer answer = bench.ask(request);
  EXPECT_EQ(answer.status, kOkay);
  EXPECT_EQ(answer.operation, blkif::kOpWrite);
  const auto disk = bench.disk->bytes();
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(std::memcmp(disk.data() + i * kPageSize, bench.page(i).data(), kPageSize), 0) << i;

  for (uint32_t i = 0; i < 32; i++) std::memset(bench.page(i).data(), 0, kPageSize);
  request.inner_operation = blkif::kOpRead;
  answer = bench.ask(request);
  EXPECT_EQ(answer.status, kOkay);
  EXPECT_EQ(answer.operation, blkif::kOpRead);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(std::memcmp(disk.data() + i * kPageSize, bench.page(i).data(), kPageSize), 0) << i;
}

constexpr uint32_t kSegments = blkif::kMaxSegments;

// A frontend may have more in its ring than pages are to be mapped for it: what is too much waits.
TEST_P(RingPump, B39_MapsNoMoreThanItsShareAndServesAllNevertheless) {
  constexpr uint32_t kRequests = 30;
  BenchOptions options = defaults();
  options.persistent_pages = options.copy_pages = options.mapped_pages = options.indirect_segments;
  PumpBench bench(options);
  for (const bool killed : {false, true}) {
    bench.disk->withhold(true);
    for (uint32_t i = 0; i < kRequests; i++) {
      HandRequest request = i % 2 == 0 ? read_request(i, i, {}) : write_request(i, i, {});
      for (uint32_t k = 0; k < kSegments; k++)
        request.segments.push_back(segment((i * kSegments + k) % options.guest_pages));
      bench.frontend->push(request);
    }
    std::vector<HandAnswer> answers = bench.serve();
    if (killed) bench.kill();
    bench.settle();
    EXPECT_GE(bench.disk->held(), 2U);
    EXPECT_LE(bench.guest.mapped_pages(), 2 * options.mapped_pages);
    for (int i = 0; i < 5; i++) {
      bench.disk->release(0);
      for (HandAnswer& answer : bench.serve()) answers.push_back(std::move(answer));
      EXPECT_LE(bench.guest.mapped_pages(), 2 * options.mapped_pages);
    }
    bench.disk->withhold(false);
    for (HandAnswer& answer : bench.serve()) answers.push_back(std::move(answer));
    ASSERT_EQ(answers.size(), kRequests);
    for (const HandAnswer& answer : answers) EXPECT_EQ(answer.status, kOkay) << answer.id;
  }
}

TEST_P(RingPump, WhatWaitsForPagesIsAnsweredThoughTheRingIsStopped) {
  BenchOptions options = defaults();
  options.persistent_pages = options.copy_pages = options.mapped_pages = options.indirect_segments;
  PumpBench bench(options);
  bench.disk->withhold(true);
  constexpr uint32_t kRequests = 20;
  for (uint32_t i = 0; i < kRequests; i++) {
    HandRequest request = read_request(i, i, {});
    for (uint32_t k = 0; k < kSegments; k++)
      request.segments.push_back(segment((i * kSegments + k) % options.guest_pages));
    bench.frontend->push(request);
  }
  static_cast<void>(bench.frontend->publish());
  bench.start();
  ASSERT_TRUE(bench.disk->wait_until_held(2));
  bench.disk->withhold(false);
  EXPECT_EQ(bench.stop(), PumpEnd::kStopped);
  EXPECT_EQ(bench.frontend->answers().size(), kRequests);
}

TEST_P(RingPump, ReadsSegmentsOfSeveralIndirectPages) {
  BenchOptions options = defaults();
  options.indirect_segments = 600;
  options.copy_pages = 600;
  options.persistent_pages = 700;
  PumpBench bench(options);
  std::vector<blkif::Segment> segments;
  for (uint32_t i = 0; i < 600; i++) segments.push_back(segment(i % 32, 3, 3));
  bench.write_indirect_page(40, std::span(segments).first(512));
  bench.write_indirect_page(41, std::span(segments).subspan(512));
  fill(bench.page(600 % 32 - 1), 5);
  HandIndirect request{.inner_operation = blkif::kOpWrite, .id = 9, .segment_count = 600};
  request.page_refs[0] = PumpBench::ref(40);
  request.page_refs[1] = PumpBench::ref(41);
  EXPECT_EQ(bench.ask(request).status, kOkay);
  EXPECT_EQ(std::memcmp(bench.disk->bytes().data() + 599 * kSectorSize,
                        bench.page(599 % 32).data() + 3 * kSectorSize, kSectorSize),
            0);
}

TEST_P(RingPump, AnswersEachOfManyOnceInWhateverOrderTheyComplete) {
  for (const uint32_t ring_pages : {1U, 4U}) {
    BenchOptions options = defaults();
    options.ring_pages = ring_pages;
    options.first_index = 0xffffffe0;  // across the wrap of the indices
    PumpBench bench(options);
    const uint32_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLoad load(bench, seed);
    for (int round = 0; round < 200; round++) {
      bench.disk->withhold(true);
      load.push_some();
      load.collect(bench.serve());
      load.release_some();
    }
    bench.disk->withhold(false);
    load.collect(bench.serve());
    load.expect_all_answered();
  }
}

TEST_P(RingPump, ABarrierWaitsForAllBeforeAndHoldsBackAllAfter) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 0, {segment(0)}));
  bench.frontend->push(write_request(2, 8, {segment(0)}));
  HandRequest barrier = write_request(3, 16, {segment(0)});
  barrier.operation = blkif::kOpWriteBarrier;
  bench.frontend->push(barrier);
  bench.frontend->push(read_request(4, 24, {segment(1)}));
  EXPECT_TRUE(bench.serve().empty());
  ASSERT_EQ(bench.disk->seen().size(), 2U) << "the barrier, or what follows it, has started";
  bench.disk->release(1);
  bench.settle();
  ASSERT_EQ(bench.disk->seen().size(), 2U);
  bench.disk->release(0);
  for (const Operation step : {Operation::kFlush, Operation::kWrite, Operation::kFlush}) {
    bench.settle();
    ASSERT_EQ(bench.disk->held(), 1U);
    EXPECT_EQ(bench.disk->seen().back().operation, step);
    bench.disk->release(0);
  }
  bench.settle();
  ASSERT_EQ(bench.disk->seen().size(), 6U);
  EXPECT_EQ(bench.disk->seen().back().operation, Operation::kRead);
  bench.disk->withhold(false);
  const auto answers = bench.serve();
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[2].id, 3U);
  EXPECT_EQ(answers[2].operation, blkif::kOpWriteBarrier);
  EXPECT_EQ(answers[3].id, 4U);
}

TEST_P(RingPump, ABarrierHeldWhenTheRingStopsStillWaitsForAllBefore) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(write_request(1, 0, {segment(0)}));
  HandRequest barrier = write_request(2, 16, {segment(0)});
  barrier.operation = blkif::kOpWriteBarrier;
  bench.frontend->push(barrier);
  bench.show();
  bench.start();
  ASSERT_TRUE(bench.disk->wait_until_held(1));
  ASSERT_TRUE(wait_until([&] { return bench.counters.in_flight.value() == 2; }));
  std::thread stopper([&] { EXPECT_EQ(bench.stop(), PumpEnd::kStopped); });
  // Nothing but the write may be there to let go, however long the pump is given to get it wrong.
  for (int i = 0; i < 100; i++) std::this_thread::yield();
  bench.disk->release(0);
  ASSERT_TRUE(bench.disk->wait_until_held(1));
  bench.disk->withhold(false);
  stopper.join();
  for (const auto& seen : bench.disk->seen()) EXPECT_EQ(seen.in_flight_before, 0U);
  EXPECT_EQ(bench.frontend->answers().size(), 2U);
}

// As a frontend does that closes: it shows its last requests and asks for the end before the
// backend has looked.
TEST_P(RingPump, WhatIsInTheRingWhenItStopsIsDoneAndAnswered) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  HandRequest barrier = write_request(1, 0, {segment(0)});
  barrier.operation = blkif::kOpWriteBarrier;
  bench.frontend->push(barrier);
  bench.show();
  bench.start();
  ASSERT_TRUE(bench.disk->wait_until_held(1));
  // It takes nothing beside a barrier.
  const uint32_t more = bench.frontend->free_slots();
  for (uint32_t i = 0; i < more; i++)
    bench.frontend->push(write_request(2 + i, 8, {segment(i % 8)}));
  bench.show();
  std::thread stopper([&] { EXPECT_EQ(bench.stop(), PumpEnd::kStopped); });
  bench.disk->withhold(false);
  stopper.join();
  EXPECT_EQ(bench.frontend->answers().size(), 1U + more);
}

TEST_P(RingPump, AFlushWithDataFlushesBeforeItWrites) {
  PumpBench bench(defaults());
  fill(bench.page(0), 3);
  HandRequest request = write_request(1, 16, {segment(0)});
  request.operation = blkif::kOpFlushDiskcache;
  const HandAnswer answer = bench.ask(request);
  EXPECT_EQ(answer.status, kOkay);
  EXPECT_EQ(answer.operation, blkif::kOpFlushDiskcache);
  const auto seen = bench.disk->seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].operation, Operation::kFlush);
  EXPECT_EQ(seen[1].operation, Operation::kWrite);
}

TEST_P(RingPump, AFlushThatFailsKeepsTheWriteItCarriesFromTheDisk) {
  PumpBench bench(defaults());
  bench.disk->set_verdict([](const BlockRequest& request) {
    return request.operation == Operation::kFlush ? IoStatus::kIoError : IoStatus::kOk;
  });
  HandRequest request = write_request(1, 16, {segment(0)});
  request.operation = blkif::kOpFlushDiskcache;
  EXPECT_EQ(bench.ask(request).status, kError);
  EXPECT_EQ(bench.disk->seen().size(), 1U);
}

TEST_P(RingPump, WhatIsNotOfferedIsUnsupported) {
  BenchOptions options = defaults();
  options.barrier = false;
  options.discard = false;
  PumpBench bench(options);
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpWriteBarrier, .id = 1}).status,
            kUnsupported);
  EXPECT_EQ(bench.ask_discard(2, 0, 8).status, kUnsupported);
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpFlushDiskcache, .id = 3}).status, kOkay);
}

TEST_P(RingPump, FollowsADiskThatGrowsAndShrinks) {
  PumpBench bench(defaults());
  const auto at_end = [&] { return bench.ask(read_request(1, 2040, {segment(0)})).status; };
  EXPECT_EQ(at_end(), kOkay);
  bench.disk->resize({2047});
  EXPECT_EQ(at_end(), kError);
  bench.disk->resize({2048});
  EXPECT_EQ(at_end(), kOkay);
}

TEST_P(RingPump, CountsWhatItDoes) {
  PumpBench bench(defaults());
  bench.ask(read_request(1, 0, {segment(0)}));
  bench.ask(write_request(2, 0, {segment(0), segment(1, 0, 0)}));
  bench.ask(HandRequest{.operation = blkif::kOpFlushDiskcache, .id = 3});
  bench.ask_discard(4, 0, 16);
  bench.ask(read_request(5, 99999, {segment(0)}));
  const CounterValues values = bench.counters.values();
  EXPECT_EQ(values.requests, (std::array<uint64_t, 4>{1, 1, 1, 1}));
  EXPECT_EQ(values.sectors, (std::array<uint64_t, 4>{8, 9, 0, 16}));
  EXPECT_EQ(values.refusals[static_cast<size_t>(blkif::Refusal::kOutOfRange)], 1U);
  EXPECT_EQ(values.notifications, bench.channel.notifications());
  uint64_t answered = 0;
  for (const uint64_t count : values.latency) answered += count;
  EXPECT_EQ(answered, 5U);
}

TEST_P(RingPump, AnswersOfOneTurnShareADoorbell) {
  PumpBench bench(defaults());
  for (uint64_t id = 0; id < 16; id++) bench.frontend->push(read_request(id, 0, {segment(0)}));
  EXPECT_EQ(bench.serve().size(), 16U);
  EXPECT_EQ(bench.channel.notifications(), 1U);
}

TEST_P(RingPump, ServesRingsOfUpToSixteenPages) {
  for (const uint32_t ring_pages : {1U, 2U, 4U, 8U, 16U}) {
    BenchOptions options = defaults();
    options.ring_pages = ring_pages;
    PumpBench bench(options);
    EXPECT_EQ(bench.frontend->slots(), 32 * ring_pages);
    for (uint64_t id = 0; id < bench.frontend->slots(); id++)
      bench.frontend->push(read_request(id, id, {segment(static_cast<uint32_t>(id % 16))}));
    EXPECT_EQ(bench.serve().size(), bench.frontend->slots());
  }
}

}  // namespace
}  // namespace splitring::backend
