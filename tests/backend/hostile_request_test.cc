// The pump with a frontend whose requests and grants are wrong, and with a disk that fails: facts
// B14 to B42, row by row.
#include <algorithm>
#include <cstring>

#include "tests/backend/backend_suite.h"

namespace splitring::backend::rows {
namespace {

constexpr uint64_t kNoOffset = UINT64_MAX;

TEST_P(Backend, B14_EveryOperationIsAnsweredAsItself) {
  PumpBench bench(defaults());
  for (uint32_t operation = 0; operation < 256; operation++) {
    const bool known = operation <= 3 || operation == 5 || operation == 6;
    if (known) continue;
    const HandAnswer answer = bench.ask(
        HandRequest{.operation = static_cast<uint8_t>(operation), .id = operation * 1000});
    EXPECT_EQ(answer.status, kUnsupported) << operation;
    EXPECT_EQ(answer.operation, operation);
    EXPECT_EQ(answer.id, operation * 1000);
  }
  EXPECT_TRUE(bench.disk->seen().empty());
  for (const uint8_t operation :
       {blkif::kOpRead, blkif::kOpWrite, blkif::kOpWriteBarrier, blkif::kOpFlushDiskcache}) {
    HandRequest request = read_request(1, 0, {segment(0)});
    request.operation = operation;
    const HandAnswer answer = bench.ask(request);
    EXPECT_EQ(answer.status, kOkay);
    EXPECT_EQ(answer.operation, operation);
  }
}

TEST_P(Backend, B15_NoSegmentsAreAnErrorButForFlushAndBarrier) {
  PumpBench bench(defaults());
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpRead}).status, kError);
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpWrite}).status, kError);
  EXPECT_TRUE(bench.disk->seen().empty());
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpFlushDiskcache}).status, kOkay);
  EXPECT_EQ(bench.ask(HandRequest{.operation = blkif::kOpWriteBarrier}).status, kOkay);
}

TEST_P(Backend, B16_MoreSegmentsThanARequestHolds) {
  PumpBench bench(defaults());
  HandRequest request = write_request(1, 0, std::vector(11, segment(0)));
  EXPECT_EQ(bench.ask(request).status, kOkay);
  const uint64_t maps = bench.guest.maps();
  const uint64_t copies = bench.guest.copies();
  for (int count = 12; count < 256; count++) {
    request.segment_count = count;
    EXPECT_EQ(bench.ask(request).status, kError) << count;
  }
  EXPECT_EQ(bench.disk->seen().size(), 1U);
  EXPECT_EQ(bench.guest.maps(), maps) << "a grant was touched";
  EXPECT_EQ(bench.guest.copies(), copies);
}

TEST_P(Backend, B17_LastSectorPastThePage) {
  PumpBench bench(defaults());
  const auto status_of = [&](uint32_t first, uint32_t last) {
    return bench
        .ask(read_request(1, 0,
                          {segment(0, static_cast<uint8_t>(first), static_cast<uint8_t>(last))}))
        .status;
  };
  for (uint32_t first = 0; first < 8; first++)
    for (uint32_t last = 0; last < 8; last++)
      EXPECT_EQ(status_of(first, last), first <= last ? kOkay : kError) << first << ".." << last;
  for (uint32_t last = 8; last < 256; last++) EXPECT_EQ(status_of(0, last), kError) << last;
  for (uint32_t first = 8; first < 256; first += 13) EXPECT_EQ(status_of(first, first), kError);
}

TEST_P(Backend, B18_TheEndOfTheDiskIsTheEnd) {
  PumpBench bench(defaults());
  const auto status_at = [&](uint64_t sector) {
    return bench.ask(write_request(1, sector, {segment(0)})).status;
  };
  EXPECT_EQ(status_at(2040), kOkay);
  EXPECT_EQ(status_at(2041), kError);
  EXPECT_EQ(status_at(2048), kError);
  EXPECT_EQ(status_at(kNoOffset), kError);
  EXPECT_EQ(status_at(kNoOffset - 7), kError);
  EXPECT_EQ(status_at(uint64_t{1} << 55), kError) << "times 512 this wraps to 0";
  EXPECT_EQ(status_at((uint64_t{1} << 55) + 8), kError);
  EXPECT_EQ(bench.disk->seen().size(), 1U);
}

TEST_P(Backend, B19_HalfABlockOfADiskOf4096Bytes) {
  BenchOptions options = defaults();
  options.block_bytes = 4096;
  PumpBench bench(options);
  EXPECT_EQ(bench.ask(write_request(1, 8, {segment(0)})).status, kOkay);
  EXPECT_EQ(bench.disk->seen()[0].first.count, 8U) << "sectors stay units of 512 bytes";
  EXPECT_EQ(bench.ask(write_request(1, 4, {segment(0)})).status, kError);
  EXPECT_EQ(bench.ask(write_request(1, 8, {segment(0, 0, 3)})).status, kError);
  EXPECT_EQ(bench.ask(write_request(1, 8, {segment(0, 4, 7), segment(0, 0, 3)})).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 8, 9).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 8, 8).status, kOkay);
}

TEST_P(Backend, B20_AReadOnlyDiskStaysAsItIs) {
  BenchOptions options = defaults();
  options.read_only = true;
  PumpBench bench(options);
  HandRequest request = write_request(1, 0, {segment(0)});
  for (const uint8_t operation :
       {blkif::kOpWrite, blkif::kOpWriteBarrier, blkif::kOpFlushDiskcache}) {
    request.operation = operation;
    EXPECT_EQ(bench.ask(request).status, kError);
  }
  EXPECT_EQ(bench.ask_discard(1, 0, 8).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 0, 8, blkif::kDiscardSecure).status, kError);
  HandIndirect indirect{.inner_operation = blkif::kOpWrite, .segment_count = 1};
  indirect.page_refs[0] = PumpBench::ref(40);
  EXPECT_EQ(bench.ask(indirect).status, kError);
  EXPECT_TRUE(bench.disk->seen().empty());
  EXPECT_EQ(bench.ask(read_request(1, 0, {segment(0)})).status, kOkay);
}

TEST_P(Backend, B21_IndirectRequestsThatAreNone) {
  PumpBench bench(defaults());
  bench.write_indirect_page(40, std::vector(512, segment(0)));
  HandIndirect request{.id = 5, .segment_count = 1};
  request.page_refs[0] = PumpBench::ref(40);
  EXPECT_EQ(bench.ask(request).status, kOkay);
  for (const uint32_t count : {0U, 33U, 4096U, 65535U}) {
    request.segment_count = static_cast<uint16_t>(count);
    EXPECT_EQ(bench.ask(request).status, kError) << count;
  }
  request.segment_count = 1;
  for (uint32_t operation = 2; operation < 256; operation++) {
    request.inner_operation = static_cast<uint8_t>(operation);
    const HandAnswer answer = bench.ask(request);
    EXPECT_EQ(answer.status, kError) << operation;
    EXPECT_EQ(answer.operation, operation);
  }
  EXPECT_EQ(bench.disk->seen().size(), 1U);
}

TEST_P(Backend, B21_IndirectRequestsWhereTheyAreNotOffered) {
  BenchOptions options = defaults();
  options.indirect_segments = 0;
  PumpBench bench(options);
  HandIndirect request{.id = 5, .segment_count = 1};
  request.page_refs[0] = PumpBench::ref(40);
  EXPECT_EQ(bench.ask(request).status, kError);
}

TEST_P(Backend, B21_AnIndirectPageThatIsNotGranted) {
  PumpBench bench(defaults());
  HandIndirect request{.id = 5, .segment_count = 1};
  for (const uint32_t ref : {0U, 0xffffffffU, PumpBench::ref(64)}) {
    request.page_refs[0] = ref;
    EXPECT_EQ(bench.ask(request).status, kError);
  }
  EXPECT_TRUE(bench.disk->seen().empty());
}

TEST_P(Backend, B22_TheHandleMeansNothing) {
  PumpBench bench(defaults());
  for (const uint32_t handle : {0U, 1U, 51712U, 65535U}) {
    HandRequest request = read_request(1, 0, {segment(0)});
    request.handle = static_cast<uint16_t>(handle);
    EXPECT_EQ(bench.ask(request).status, kOkay);
  }
}

TEST_P(Backend, B22_ARequestThatComesWhileAllSlotsAreTakenIsNotForgotten) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  const uint32_t slots = bench.frontend->slots();
  for (uint32_t id = 0; id < slots; id++) bench.frontend->push(read_request(id, 0, {segment(0)}));
  bench.show();
  bench.start();
  ASSERT_TRUE(bench.disk->wait_until_held(slots));
  std::vector<HandAnswer> answers;
  for (uint32_t i = 1; i <= 100; i++) {
    bench.disk->release(0);
    ASSERT_TRUE(bench.wait_for_answers(i, answers));
    bench.frontend->push(read_request(slots + i, 0, {segment(0)}));
    bench.show();
    ASSERT_TRUE(bench.disk->wait_until_held(slots)) << "the ring stands still";
  }
  bench.disk->withhold(false);
  EXPECT_TRUE(bench.wait_for_answers(slots + 100, answers));
  EXPECT_EQ(bench.stop(), PumpEnd::kStopped);
}

TEST_P(Backend, B23_DiscardsThatCannotBe) {
  PumpBench bench(defaults());
  EXPECT_EQ(bench.ask_discard(1, 0, 0).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 0, kNoOffset).status, kError);
  EXPECT_EQ(bench.ask_discard(1, kNoOffset, 2).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 8, kNoOffset - 7).status, kError) << "the sum wraps to 0";
  EXPECT_EQ(bench.ask_discard(1, 2047, 2).status, kError);
  EXPECT_EQ(bench.ask_discard(1, 0, 8, blkif::kDiscardSecure).status, kUnsupported);
  EXPECT_EQ(bench.ask_discard(1, 0, 8, 0x80).status, kUnsupported);
  EXPECT_TRUE(bench.disk->seen().empty());
  EXPECT_EQ(bench.ask_discard(1, 0, 2048).status, kOkay);
}

TEST_P(Backend, B24_TheSameIdTwiceInFlight) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  for (int i = 0; i < 3; i++) bench.frontend->push(read_request(kNoOffset, 0, {segment(0)}));
  static_cast<void>(bench.serve());
  bench.disk->withhold(false);
  const auto answers = bench.serve();
  ASSERT_EQ(answers.size(), 3U);
  for (const HandAnswer& answer : answers) EXPECT_EQ(answer.id, kNoOffset);
}

TEST_P(Backend, B25_TheSamePageInManySegments) {
  PumpBench bench(defaults());
  fill(bench.page(3), 9);
  EXPECT_EQ(bench.ask(write_request(1, 0, std::vector(11, segment(3)))).status, kOkay);
  const auto disk = bench.disk->bytes();
  for (size_t i = 0; i < 11; i++)
    EXPECT_EQ(std::memcmp(disk.data() + i * kPageSize, bench.page(3).data(), kPageSize), 0);
  EXPECT_EQ(bench.ask(read_request(1, 0, {segment(3, 0, 4), segment(3, 2, 7), segment(3)})).status,
            kOkay);
}

TEST_P(Backend, B26_ABadGrantAnywhereFailsItsRequestAlone) {
  for (const uint32_t bad : {PumpBench::ref(20), 0U, 0xffffffffU, PumpBench::ref(64)}) {
    for (size_t position = 0; position < 11; position++) {
      PumpBench bench(defaults());
      bench.guest.revoke(PumpBench::ref(20));
      std::vector<blkif::Segment> segments;
      for (uint32_t i = 0; i < 11; i++) segments.push_back(segment(i));
      segments[position].ref = bad;
      bench.frontend->push(write_request(1, 0, {segment(30)}));
      bench.frontend->push(write_request(2, 100, segments));
      bench.frontend->push(read_request(3, 100, segments));
      bench.frontend->push(read_request(4, 0, {segment(31)}));
      auto answers = bench.serve();
      ASSERT_EQ(answers.size(), 4U);
      std::sort(answers.begin(), answers.end(),
                [](const auto& a, const auto& b) { return a.id < b.id; });
      EXPECT_EQ(answers[0].status, kOkay);
      EXPECT_EQ(answers[1].status, kError);
      EXPECT_EQ(answers[2].status, kError);
      EXPECT_EQ(answers[3].status, kOkay);
      EXPECT_EQ(bench.guest.mapped_pages(), persistent() ? 2U : 0U);
      for (const auto& seen : bench.disk->seen())
        EXPECT_TRUE(seen.operation == Operation::kRead || seen.first.count == 0);
    }
  }
}

TEST_P(Backend, B26_AReadOnlyPageCanBeWrittenFromButNotReadInto) {
  PumpBench bench(defaults());
  bench.guest.grant(PumpBench::ref(5), Access::kReadOnly);
  fill(bench.page(5), 4);
  const std::vector<std::byte> before(bench.page(5).begin(), bench.page(5).end());
  EXPECT_EQ(bench.ask(write_request(1, 0, {segment(1), segment(5)})).status, kOkay);
  EXPECT_EQ(bench.ask(read_request(2, 64, {segment(1), segment(5)})).status, kError);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), bench.page(5).begin()));
}

TEST_P(Backend, B27_APageRevokedWhileItIsUsedStaysValid) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(read_request(1, 0, {segment(2)}));
  static_cast<void>(bench.serve());
  bench.guest.revoke(PumpBench::ref(2));
  bench.disk->withhold(false);
  const auto answers = bench.serve();
  ASSERT_EQ(answers.size(), 1U);
  // A copy to a page that is no longer granted cannot be made; a mapped page stays ours.
  const bool copied = defaults().way == DataWay::kCopied;
  EXPECT_EQ(answers[0].status, copied ? kError : kOkay);
  EXPECT_EQ(bench.ask(read_request(2, 0, {segment(2)})).status, persistent() ? kOkay : kError);
}

TEST_P(Backend, B28_EndlessNewPagesStayWithinTheBound) {
  BenchOptions options = defaults();
  options.guest_pages = 600;
  options.persistent_pages = 64;
  PumpBench bench(options);
  for (uint32_t i = 0; i < 1200; i++) {
    fill(bench.page(i % 600), i);
    ASSERT_EQ(bench.ask(write_request(i, 0, {segment(i % 600)})).status, kOkay);
    ASSERT_EQ(std::memcmp(bench.disk->bytes().data(), bench.page(i % 600).data(), kPageSize), 0);
  }
  EXPECT_LE(bench.guest.most_mapped_pages(), persistent() ? 64U : 1U);
  EXPECT_GE(bench.counters.persistent_evictions.value(), persistent() ? 1200U - 64 : 0U);
}

TEST_P(Backend, B28_MorePagesInUseThanAreKeptAreReachedAnotherWay) {
  BenchOptions options = defaults();
  options.persistent_pages = 16;
  options.copy_pages = 16;
  PumpBench bench(options);
  bench.disk->withhold(true);
  for (uint32_t i = 0; i < 32; i++) {
    fill(bench.page(i), i);
    bench.frontend->push(write_request(i, i * 8, {segment(i)}));
  }
  static_cast<void>(bench.serve());
  EXPECT_EQ(bench.disk->held(), 32U);
  bench.disk->withhold(false);
  for (const HandAnswer& answer : bench.serve()) EXPECT_EQ(answer.status, kOkay);
  const auto disk = bench.disk->bytes();
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(std::memcmp(disk.data() + i * kPageSize, bench.page(i).data(), kPageSize), 0) << i;
  EXPECT_EQ(bench.guest.mapped_pages(), persistent() ? 16U : 0U);
}

TEST(BackendCopies, B29_APieceThatFailsFailsItsRequestAlone) {
  for (size_t position = 0; position < 11; position++) {
    PumpBench bench({.way = DataWay::kCopied});
    const uint32_t bad = PumpBench::ref(static_cast<uint32_t>(position));
    bench.guest.fails_copy = [bad](GrantRef ref) { return raw(ref) == bad; };
    std::vector<blkif::Segment> segments;
    for (uint32_t i = 0; i < 11; i++) segments.push_back(segment(i));
    // Read: the disk is asked, then the data cannot be given. Write: mapped instead.
    EXPECT_EQ(bench.ask(read_request(1, 0, segments)).status, kError);
    EXPECT_EQ(bench.ask(write_request(2, 0, segments)).status, kOkay);
    EXPECT_EQ(bench.ask(read_request(3, 0, {segment(20)})).status, kOkay);
    EXPECT_EQ(bench.counters.grant_errors.value(), 1U);
  }
}

TEST(BackendCopies, B29_ABatchThatFailsAsAWholeFailsItsRequest) {
  PumpBench bench({.way = DataWay::kCopied});
  bench.guest.fail_all_copies = true;
  EXPECT_EQ(bench.ask(read_request(1, 0, {segment(0)})).status, kError);
  bench.guest.fail_all_copies = false;
  EXPECT_EQ(bench.ask(read_request(1, 0, {segment(0)})).status, kOkay);
}

TEST_P(Backend, B34_AMillionBadRequestsAreCountedExactly) {
  PumpBench bench(defaults());
  constexpr uint64_t kMany = 1'000'000;
  uint64_t sent = 0;
  uint64_t answered = 0;
  while (answered < kMany) {
    for (; sent < kMany && bench.frontend->free_slots() != 0; sent++)
      bench.frontend->push(read_request(sent, kNoOffset, {segment(0)}));
    answered += bench.serve().size();
  }
  EXPECT_EQ(bench.counters.refusals[static_cast<size_t>(blkif::Refusal::kOutOfRange)].value(),
            kMany);
  EXPECT_TRUE(bench.disk->seen().empty());
}

TEST_P(Backend, B38_ADiskThatFailsSaysSo) {
  PumpBench bench(defaults());
  IoStatus verdict = IoStatus::kIoError;
  bench.disk->set_verdict([&](const BlockRequest&) { return verdict; });
  for (const IoStatus status : {IoStatus::kIoError, IoStatus::kNoSpace, IoStatus::kGone}) {
    verdict = status;
    EXPECT_EQ(bench.ask(write_request(1, 0, {segment(0)})).status, kError);
    EXPECT_EQ(bench.ask(read_request(2, 0, {segment(0)})).status, kError);
  }
  EXPECT_EQ(bench.counters.io_errors[static_cast<size_t>(Work::kWrite)].value(), 3U);
  verdict = IoStatus::kOk;
  EXPECT_EQ(bench.ask(write_request(1, 0, {segment(0)})).status, kOkay);
}

TEST_P(Backend, B38_AFlushThatFailedOnceNeverSucceedsAgain) {
  PumpBench bench(defaults());
  bool fails = true;
  bench.disk->set_verdict([&](const BlockRequest& request) {
    return fails && request.operation == Operation::kFlush ? IoStatus::kIoError : IoStatus::kOk;
  });
  const HandRequest flush{.operation = blkif::kOpFlushDiskcache, .id = 1};
  EXPECT_EQ(bench.ask(flush).status, kError);
  fails = false;
  EXPECT_EQ(bench.ask(flush).status, kError);
  EXPECT_EQ(bench.ask(write_request(2, 0, {segment(0)})).status, kError);
  EXPECT_EQ(bench.ask_discard(3, 0, 8).status, kError);
  EXPECT_EQ(bench.ask(read_request(4, 0, {segment(0)})).status, kOkay);
}

TEST_P(Backend, B42_AFastAnswerOverASlowRequestsSlotHarmsNothing) {
  PumpBench bench(defaults());
  fill(bench.page(0), 1);
  fill(bench.page(1), 2);
  bench.disk->withhold(true);
  bench.frontend->push(write_request(100, 0, {segment(0)}));
  bench.frontend->push(write_request(101, 8, {segment(1)}));
  static_cast<void>(bench.serve());
  bench.disk->release(1);
  auto answers = bench.serve();  // lies in slot 0, over the request that is still in flight
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].id, 101U);
  std::memset(bench.ring.slot(0, bench.frontend->slot_bytes()).data(), 0xff,
              bench.frontend->slot_bytes());
  bench.disk->withhold(false);
  answers = bench.serve();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].id, 100U);
  EXPECT_EQ(answers[0].status, kOkay);
  const auto disk = bench.disk->bytes();
  EXPECT_EQ(std::memcmp(disk.data(), bench.page(0).data(), kPageSize), 0);
  EXPECT_EQ(std::memcmp(disk.data() + kPageSize, bench.page(1).data(), kPageSize), 0);
}

}  // namespace
}  // namespace splitring::backend::rows
