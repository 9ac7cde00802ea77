// The pump with a frontend that breaks the rules of the ring and its doorbell: facts B1 to B13.
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <thread>

#include "tests/backend/backend_suite.h"

namespace splitring::backend::rows {
namespace {

INSTANTIATE_TEST_SUITE_P(AllWays, Backend, SPLITRING_ALL_WAYS, way_name);

TEST_P(Backend, B1_MoreRequestsThanSlotsStopTheRing) {
  PumpBench bench(defaults());
  bench.ring.set_index(RingIndex::kRequestProducer, bench.frontend->slots() + 1);
  bench.settle();
  EXPECT_TRUE(bench.pump->broken());
  EXPECT_EQ(bench.counters.broken_rings.value(), 1U);
  EXPECT_TRUE(bench.disk->seen().empty());
  EXPECT_EQ(bench.ring.index(RingIndex::kResponseProducer), 0U);
  bench.ring.set_index(RingIndex::kRequestProducer, 1);
  bench.settle();
  EXPECT_TRUE(bench.disk->seen().empty()) << "a ring that broke is served again";
}

TEST_P(Backend, B1_TheThreadOfABrokenRingEnds) {
  PumpBench bench(defaults());
  bench.ring.set_index(RingIndex::kRequestProducer, 1U << 31);
  bench.start();
  EXPECT_TRUE(wait_until([&] { return bench.counters.broken_rings.value() == 1; }));
  EXPECT_EQ(bench.stop(), PumpEnd::kBroken);
}

TEST_P(Backend, B2_AProducerThatGoesBackwardsStopsTheRing) {
  PumpBench bench(defaults());
  for (uint64_t id = 0; id < 4; id++)
    EXPECT_EQ(bench.ask(read_request(id, 0, {segment(0)})).status, kOkay);
  bench.ring.set_index(RingIndex::kRequestProducer, 3);
  bench.settle();
  EXPECT_TRUE(bench.pump->broken());
  EXPECT_EQ(bench.disk->seen().size(), 4U);
}

TEST_P(Backend, B3_ATurnTakesABoundedShareOfTheRing) {
  BenchOptions options = defaults();
  options.ring_pages = 16;
  PumpBench bench(options);
  uint64_t turns = 0;
  uint64_t answered = 0;
  while (answered < 5000) {
    // As many as ever fit, all the time.
    while (bench.frontend->free_slots() != 0)
      bench.frontend->push(read_request(answered, 0, {segment(0, 0, 0)}));
    static_cast<void>(bench.frontend->publish());
    const size_t before = bench.disk->seen().size();
    bench.pump->turn();
    turns++;
    ASSERT_LE(bench.disk->seen().size() - before, 32U) << "more than the smallest ring in a turn";
    answered += bench.frontend->answers().size();
  }
  EXPECT_GE(turns, 5000U / 32);
}

// Another thread, at another address, keeps changing a request's words between two values each.
class Flipper {
 public:
  Flipper(std::byte* word, uint64_t one, uint64_t other)
      : thread_([this, word, one, other] {
          auto* target = reinterpret_cast<uint64_t*>(word);
          while (!stop_.load(std::memory_order_relaxed)) {
            __atomic_store_n(target, one, __ATOMIC_RELAXED);
            __atomic_store_n(target, other, __ATOMIC_RELAXED);
          }
        }) {}
  ~Flipper() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_P(Backend, B5_AnIndirectPageThatChangesWhileItIsReadIsCopiedOnce) {
  PumpBench bench(defaults());
  const blkif::Segment good = segment(0, 0, 0);
  const blkif::Segment bad{PumpBench::ref(0), 0, 255, 0};
  std::vector<blkif::Segment> segments(32, good);
  bench.write_indirect_page(40, segments);
  HandIndirect request{.inner_operation = blkif::kOpRead, .segment_count = 32};
  request.page_refs[0] = PumpBench::ref(40);
  const Flipper flipper(bench.guest.hostile_page(PumpBench::ref(40)).data() + 8 * 17,
                        std::bit_cast<uint64_t>(good), std::bit_cast<uint64_t>(bad));
  for (uint64_t id = 0; id < 3000; id++) {
    request.id = id;
    const HandAnswer answer = bench.ask(request);
    ASSERT_TRUE(answer.status == kOkay || answer.status == kError);
  }
  for (const auto& seen : bench.disk->seen()) ASSERT_EQ(seen.bytes, 32 * kSectorSize);
}

TEST_P(Backend, B4_ARequestThatChangesWhileItIsTakenIsOneThingOrTheOther) {
  // The ring's own loads are counted in tests/ring; this is the pump on top of them.
  BenchOptions options = defaults();
  PumpBench bench(options);
  const size_t place = options.abi == blkif::Abi::kX86_32 ? 20 : 24;  // of the first segment
  const blkif::Segment good = segment(0, 0, 0);
  const blkif::Segment bad{PumpBench::ref(0), 7, 200, 0};
  for (uint64_t id = 0; id < 2000; id++) {
    const auto slot = static_cast<uint32_t>(id % bench.frontend->slots());
    bench.frontend->push(read_request(id, 0, {good}));
    static_cast<void>(bench.frontend->publish());
    std::byte* const word = bench.ring.slot(slot, bench.frontend->slot_bytes()).data() + place;
    const blkif::Segment& now = id % 2 == 0 ? good : bad;
    std::memcpy(word, &now, sizeof now);
    bench.pump->turn();
    // What is in the slot from here on is nobody's.
    bench.settle();
    const auto answers = bench.frontend->answers();
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_EQ(answers[0].status, id % 2 == 0 ? kOkay : kError);
  }
  for (const auto& seen : bench.disk->seen()) ASSERT_EQ(seen.bytes, kSectorSize);
}

TEST_P(Backend, B6_IndicesThatAreOursToWriteAreNeverReadBack) {
  PumpBench bench(defaults());
  EXPECT_EQ(bench.ask(read_request(1, 0, {segment(0)})).status, kOkay);
  for (const uint32_t junk : {0U, 12345U, 0xffffffffU, 0x80000001U}) {
    bench.ring.set_index(RingIndex::kResponseProducer, junk);
    bench.ring.set_index(RingIndex::kResponseEvent, junk);
    bench.ring.set_index(RingIndex::kRequestEvent, junk);
    bench.frontend->push(read_request(junk, 0, {segment(0)}));
    const auto answers = bench.serve();  // settles: our index is written over the junk
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].id, junk);
    EXPECT_FALSE(bench.pump->broken());
  }
}

TEST_P(Backend, B7_AnAnswerHasItsFieldsRightAndZeroesElsewhere) {
  PumpBench bench(defaults());
  std::memset(bench.ring.data() + kRingHeaderBytes, 0xa5, kPageSize - kRingHeaderBytes);
  bench.frontend->push(read_request(0x1122334455667788, 0, {segment(0)}));
  const auto answers = bench.serve();
  ASSERT_EQ(answers.size(), 1U);
  std::vector<std::byte> expected(answers[0].bytes.size());
  for (size_t i = 0; i < 8; i++) expected[i] = static_cast<std::byte>(0x88 - 0x11 * i);
  EXPECT_EQ(answers[0].bytes, expected);  // operation 0, status 0, padding 0
  const auto slot = bench.ring.slot(0, bench.frontend->slot_bytes());
  for (size_t i = slot.size() - 8; i < slot.size(); i++)
    EXPECT_EQ(slot[i], std::byte{0xa5}) << "byte " << i << " of the slot is no part of the answer";
  const auto next = bench.ring.slot(1, bench.frontend->slot_bytes());
  EXPECT_TRUE(
      std::all_of(next.begin(), next.end(), [](std::byte b) { return b == std::byte{0xa5}; }));
}

TEST_P(Backend, B12_ADoorbellWithoutRequestsIsListenedToEverMoreRarely) {
  PumpBench bench(defaults());
  bench.start();
  const auto start = std::chrono::steady_clock::now();
  uint64_t rings = 0;
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(300)) {
    bench.channel.ring();
    rings++;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  const uint64_t wakeups = bench.counters.wakeups.value();
  // Sixteen are taken for what they are; from then on one each 16 ms.
  EXPECT_LE(wakeups, 32 + static_cast<uint64_t>(took.count()) / 15);
  EXPECT_GE(bench.counters.spurious_wakeups.value() + 1, wakeups);
  // And it still serves.
  bench.frontend->push(read_request(1, 0, {segment(0)}));
  bench.show();
  std::vector<HandAnswer> answers;
  EXPECT_TRUE(bench.wait_for_answers(1, answers));
  EXPECT_EQ(bench.stop(), PumpEnd::kStopped);
}

TEST_P(Backend, B12_ADoorbellThatComesAfterItsRequestWasFoundIsNoStorm) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(read_request(0, 0, {segment(0)}));
  static_cast<void>(bench.frontend->publish());
  bench.start();
  std::vector<HandAnswer> answers;
  for (uint64_t id = 1; id <= 64; id++) {
    ASSERT_TRUE(bench.disk->wait_until_held(1));
    // The request is found because the disk wakes the pump; its own bell comes late.
    bench.frontend->push(read_request(id, 0, {segment(0)}));
    static_cast<void>(bench.frontend->publish());
    bench.disk->release(0);
    ASSERT_TRUE(bench.wait_for_answers(id, answers));
    ASSERT_TRUE(bench.disk->wait_until_held(1));
    bench.channel.ring();
    // A pump that is still on its way to sleep takes the bell without waking.
    ASSERT_TRUE(wait_until([&] { return bench.channel.heard(); }));
  }
  bench.disk->withhold(false);
  ASSERT_TRUE(bench.wait_for_answers(65, answers));
  EXPECT_EQ(bench.stop(), PumpEnd::kStopped);
  EXPECT_EQ(bench.counters.spurious_wakeups.value(), 0U);
}

TEST_P(Backend, B12_ADoorbellIsNotHeardWhileABarrierIsUnderWay) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  bench.frontend->push(HandRequest{.operation = blkif::kOpWriteBarrier, .id = 1});
  static_cast<void>(bench.frontend->publish());
  bench.start();
  ASSERT_TRUE(bench.disk->wait_until_held(1));
  for (int i = 0; i < 100; i++) {
    bench.channel.ring();
    std::this_thread::yield();
  }
  EXPECT_LE(bench.counters.wakeups.value(), 1U);
  bench.frontend->push(read_request(2, 0, {segment(0)}));
  bench.show();
  bench.disk->withhold(false);
  std::vector<HandAnswer> answers;
  EXPECT_TRUE(bench.wait_for_answers(2, answers));
  EXPECT_EQ(bench.stop(), PumpEnd::kStopped);
}

TEST_P(Backend, B13_AFrontendThatTakesNoAnswersHoldsNothingUpAndGrowsNothing) {
  PumpBench bench(defaults());
  const uint32_t slots = bench.frontend->slots();
  for (uint32_t id = 0; id < slots; id++)
    bench.frontend->push(read_request(id, 0, {segment(id % 4)}));
  static_cast<void>(bench.frontend->publish());
  bench.settle();
  for (uint32_t round = 2; round <= 50; round++) {
    // It goes on asking without a look at the answers, which are what lies in its slots now.
    bench.ring.set_index(RingIndex::kRequestProducer, round * slots);
    bench.settle();
    ASSERT_FALSE(bench.pump->broken());
    ASSERT_EQ(bench.ring.index(RingIndex::kResponseProducer), round * slots);
    ASSERT_LE(bench.counters.in_flight.value(), slots);
  }
}

TEST_P(Backend, B13_NoMoreThanTheSlotsAreEverInFlight) {
  PumpBench bench(defaults());
  bench.disk->withhold(true);
  for (uint32_t id = 0; id < bench.frontend->slots(); id++)
    bench.frontend->push(read_request(id, 0, {segment(0)}));
  static_cast<void>(bench.serve());
  EXPECT_EQ(bench.disk->held(), bench.frontend->slots());
  bench.ring.set_index(RingIndex::kRequestProducer, bench.frontend->slots() + 1);
  bench.settle();
  EXPECT_TRUE(bench.pump->broken());
  EXPECT_EQ(bench.disk->held(), bench.frontend->slots());
}

}  // namespace
}  // namespace splitring::backend::rows
