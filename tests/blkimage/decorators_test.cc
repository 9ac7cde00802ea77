// What the decorators do beyond being a disk (conformance_test.cc).
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <set>
#include <thread>

#include "blkimage/fault_device.h"
#include "blkimage/memory_disk.h"
#include "blkimage/power_cut_disk.h"
#include "blkimage/range_device.h"
#include "blkimage/read_only_device.h"
#include "blkimage/stats_device.h"
#include "blkimage/synchronous_queue.h"
#include "blkimage/throttle_device.h"
#include "blkimage/token_bucket.h"
#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

constexpr Sectors kCapacity{1024};

std::unique_ptr<BlockDevice> memory(uint32_t block_bytes = 512) {
  return must(MemoryDisk::create(kCapacity, {.logical_block_bytes = block_bytes}));
}

std::vector<std::byte> sector_of(uint8_t value) {
  return std::vector<std::byte>(512, std::byte{value});
}

TEST(ReadOnlyDevice, B20_RefusesEveryChange) {
  const auto device = make_read_only(memory());
  auto lane = must(device->open_queue({}));
  TestBuffer buffer(512);
  TestRequest request;
  EXPECT_TRUE(device->geometry().read_only);
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, {}, buffer.bytes())), IoStatus::kOk);
  EXPECT_EQ(run_one(*lane, request.data(Operation::kWrite, {}, buffer.bytes())),
            IoStatus::kReadOnly);
  for (const auto operation : {Operation::kDiscard, Operation::kWriteZeroes})
    EXPECT_EQ(run_one(*lane, request.range(operation, {}, Sectors{1})), IoStatus::kReadOnly);
}

TEST(RangeDevice, TouchesNothingOutsideItsWindow) {
  auto whole = memory();
  BlockDevice& below = *whole;
  const auto window = must(make_range(std::move(whole), Sectors{100}, Sectors{10}));
  auto lane = must(window->open_queue({}));
  std::vector<std::byte> ones(10 * 512, std::byte{1});
  ASSERT_TRUE(lane->write({}, ones));
  EXPECT_FALSE(lane->write(Sectors{1}, ones));
  EXPECT_FALSE(lane->write(Sectors{~uint64_t{0} - 99}, std::span(ones).first(512)));
  auto raw = must(below.open_queue({}));
  std::vector<std::byte> all(kCapacity.bytes());
  ASSERT_TRUE(raw->read({}, all));
  for (size_t sector = 0; sector < kCapacity.count; sector++)
    EXPECT_EQ(all[sector * 512], std::byte{sector >= 100 && sector < 110}) << sector;
}

// Has a short way for flushes and durable writes, and none for anything else.
class ShortWayDisk final : public BlockDevice {
 public:
  struct Taken {
    Operation operation;
    Sectors first;
    uint64_t bytes;
    bool operator==(const Taken&) const = default;
  };
  ShortWayDisk() : BlockDevice({.capacity = kCapacity}) {}
  [[nodiscard]] std::string name() const override { return "short way"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    return Lane::create(*this, options);
  }

  std::vector<Taken> taken;
  IoStatus status = IoStatus::kOk;

 private:
  class Lane final : public SynchronousQueue {
   public:
    static Result<std::unique_ptr<BlockQueue>> create(ShortWayDisk& disk,
                                                      const QueueOptions& options) {
      UniqueFd never = TRY(make_never_readable());
      return std::unique_ptr<BlockQueue>(new Lane(disk, options, std::move(never)));
    }

   private:
    Lane(ShortWayDisk& disk, const QueueOptions& options, UniqueFd never_readable)
        : SynchronousQueue(disk.state(), options, std::move(never_readable)), disk_(disk) {}
    std::optional<IoStatus> do_step(BlockRequest&) noexcept override { return IoStatus::kIoError; }
    std::optional<IoStatus> do_now(BlockRequest& request, bool durably) noexcept override {
      if (request.operation != Operation::kFlush && !durably) return std::nullopt;
      disk_.taken.push_back({request.operation, request.first, request.byte_count});
      return disk_.status;
    }
    ShortWayDisk& disk_;
  };
};

TEST(RangeDevice, DurableWritesAndFlushesTakeTheShortWayBelow) {
  auto whole = std::make_unique<ShortWayDisk>();
  ShortWayDisk& below = *whole;
  const auto window = must(make_range(std::move(whole), Sectors{100}, Sectors{10}));
  const auto lane = must(window->open_queue({}));
  const std::vector<std::byte> bytes(1024);
  EXPECT_TRUE(lane->write_durably(Sectors{2}, bytes));
  EXPECT_TRUE(lane->flush());
  EXPECT_FALSE(lane->write_durably(Sectors{9}, bytes));  // it would end behind the window
  EXPECT_EQ(below.taken, (std::vector<ShortWayDisk::Taken>{{Operation::kWrite, Sectors{102}, 1024},
                                                           {Operation::kFlush, {}, 0}}));
}

TEST(RangeDevice, SaysWhyADurableWriteFailedBelowAndTakesNoMore) {
  for (const auto& [status, code] :
       std::vector<std::pair<IoStatus, Errc>>{{IoStatus::kIoError, Errc::kIo},
                                              {IoStatus::kNoSpace, Errc::kNoSpace},
                                              {IoStatus::kGone, Errc::kClosed}}) {
    auto whole = std::make_unique<ShortWayDisk>();
    whole->status = status;
    const auto window = must(make_range(std::move(whole), Sectors{100}, Sectors{10}));
    const auto lane = must(window->open_queue({}));
    const auto failed = lane->write_durably(Sectors{2}, sector_of(1));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, code) << failed.error().what;
    EXPECT_TRUE(window->poisoned());
  }
}

TEST(RangeDevice, RefusesAWindowThatDoesNotFit) {
  const uint64_t max = ~uint64_t{0};
  for (const auto& [first, length] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0, 0}, {0, 1025}, {1024, 1}, {max, 1}, {1, max}, {max, max}})
    EXPECT_FALSE(make_range(memory(), Sectors{first}, Sectors{length})) << first << "+" << length;
  EXPECT_FALSE(make_range(memory(4096), Sectors{1}, Sectors{8}));
  EXPECT_TRUE(make_range(memory(4096), Sectors{8}, Sectors{8}));
}

TEST(StatsDevice, CountsWhatPassed) {
  auto faulty = std::make_unique<FaultDevice>(memory(), 1);
  faulty->add_rule({.operation = Operation::kRead, .let_pass = 3});
  StatsDevice device(std::move(faulty));
  std::vector<std::byte> buffer(4096);
  {
    auto lane = must(device.open_queue({}));
    for (int i = 0; i < 5; i++) static_cast<void>(lane->read({}, buffer));
    ASSERT_TRUE(lane->write({}, buffer));
    ASSERT_TRUE(lane->flush());
  }
  auto second = must(device.open_queue({}));
  ASSERT_TRUE(second->write({}, std::span(buffer).first(512)));
  const IoStats stats = device.stats();
  const auto& reads = stats.of(Operation::kRead);
  EXPECT_EQ(reads.completed(), 5U);
  EXPECT_EQ(reads.failed(), 2U);
  EXPECT_EQ(reads.by_status[static_cast<size_t>(IoStatus::kIoError)], 2U);
  EXPECT_EQ(reads.bytes, 3U * 4096);
  EXPECT_EQ(stats.of(Operation::kWrite).bytes, 4096U + 512U);
  EXPECT_EQ(stats.of(Operation::kFlush).completed(), 1U);
  EXPECT_GT(reads.total_ns, 0U);
  EXPECT_GE(reads.latency_quantile_ns(1), reads.latency_quantile_ns(0.5));
  EXPECT_GT(reads.latency_quantile_ns(0.5), 0U);
  EXPECT_EQ(stats.of(Operation::kDiscard).latency_quantile_ns(0.5), 0U);
}

TEST(StatsDevice, MayBeReadByAnotherThread) {
  StatsDevice device(memory());
  constexpr uint64_t kCount = 2000;
  std::thread owner([&] {
    auto lane = must(device.open_queue({}));
    std::vector<std::byte> buffer(512);
    for (uint64_t i = 0; i < kCount; i++) ASSERT_TRUE(lane->read({}, buffer));
  });
  uint64_t seen = 0;
  while (seen < kCount) {
    const uint64_t now = device.stats().of(Operation::kRead).completed();
    ASSERT_GE(now, seen);
    seen = now;
  }
  owner.join();
  EXPECT_EQ(device.stats().of(Operation::kRead).completed(), kCount);
}

TEST(LatencyHistogram, BucketsArePowersOfTwo) {
  EXPECT_EQ(latency_bucket(0), 0U);
  EXPECT_EQ(latency_bucket(1), 1U);
  EXPECT_EQ(latency_bucket(1023), 10U);
  EXPECT_EQ(latency_bucket(1024), 11U);
  EXPECT_EQ(latency_bucket(~uint64_t{0}), kLatencyBuckets - 1);
  for (const uint64_t ns : {1U, 5U, 1000U, 123456789U}) {
    EXPECT_LT(ns, latency_bucket_end_ns(latency_bucket(ns)));
    EXPECT_GE(ns, latency_bucket_end_ns(latency_bucket(ns)) / 2);
  }
}

TEST(TokenBucket, KeepsItsRate) {
  using std::chrono::milliseconds;
  TokenBucket bucket(1000, 10, milliseconds(0));
  for (int i = 0; i < 10; i++) {
    EXPECT_EQ(bucket.delay(milliseconds(0)).count(), 0);
    bucket.spend(1);
  }
  const auto delay = bucket.delay(milliseconds(0));
  EXPECT_GE(delay, milliseconds(1));
  EXPECT_LT(delay, milliseconds(2));
  EXPECT_EQ(bucket.delay(milliseconds(0) + delay).count(), 0);
  // A rest fills it to the burst and no further.
  EXPECT_EQ(bucket.delay(milliseconds(60'000)).count(), 0);
  bucket.spend(10);
  EXPECT_GT(bucket.delay(milliseconds(60'000)).count(), 0);
}

TEST(TokenBucket, LetsPassWhatIsLargerThanTheBurstAndMakesItPay) {
  using std::chrono::milliseconds;
  TokenBucket bucket(1000, 10, milliseconds(0));
  EXPECT_EQ(bucket.delay(milliseconds(0)).count(), 0);
  bucket.spend(110);
  EXPECT_GE(bucket.delay(milliseconds(0)), milliseconds(101));
  EXPECT_GT(bucket.delay(milliseconds(100)).count(), 0);
  EXPECT_EQ(bucket.delay(milliseconds(102)).count(), 0);
  TokenBucket unlimited(0, 0, milliseconds(0));
  unlimited.spend(1U << 30);
  EXPECT_EQ(unlimited.delay(milliseconds(0)).count(), 0);
}

// Its descriptor wakes the owner when the next request may start; and the rate holds.
TEST(ThrottledDevice, WakesWhenTheNextTokenIsDue) {
  const auto device = make_throttled(memory(), {.requests_per_second = 1000, .burst_requests = 5});
  auto lane = must(device->open_queue({}));
  TestBuffer buffer(512);
  std::vector<TestRequest> requests(35);
  const auto start = std::chrono::steady_clock::now();
  for (auto& request : requests) lane->submit(request.data(Operation::kRead, {}, buffer.bytes()));
  lane->kick();
  int sleeps = 0;
  while (lane->in_flight() != 0) {
    if (lane->poll() != 0 || !lane->prepare_to_wait()) continue;
    pollfd entry{lane->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&entry, 1, 20'000), 1);
    sleeps++;
  }
  // 30 requests beyond the burst, at one a millisecond.
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(29));
  EXPECT_GE(sleeps, 1);
  EXPECT_LE(sleeps, 40) << "it does not spin";
}

TEST(ThrottledDevice, LimitsBytes) {
  const auto device = make_throttled(memory(), {.bytes_per_second = 1 << 20, .burst_bytes = 4096});
  auto lane = must(device->open_queue({}));
  std::vector<std::byte> buffer(32768);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(lane->read({}, buffer));  // passes at once, and is paid for by the next
  ASSERT_TRUE(lane->read({}, buffer));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(26));
}

TEST(FaultDevice, FailsTheNthOfAKind) {
  FaultDevice device(memory(), 1);
  device.add_rule(
      {.operation = Operation::kWrite, .let_pass = 2, .times = 1, .status = IoStatus::kNoSpace});
  auto lane = must(device.open_queue({}));
  TestBuffer buffer(512);
  TestRequest request;
  std::vector<IoStatus> statuses;
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, {}, buffer.bytes())), IoStatus::kOk);
    statuses.push_back(run_one(*lane, request.data(Operation::kWrite, {}, buffer.bytes())));
  }
  EXPECT_EQ(statuses,
            (std::vector{IoStatus::kOk, IoStatus::kOk, IoStatus::kNoSpace, IoStatus::kOk}));
  EXPECT_EQ(device.hits(), 1U);
}

TEST(FaultDevice, FailsARange) {
  FaultDevice device(memory(), 1);
  device.add_rule({.first = Sectors{100}, .length = Sectors{10}});
  auto lane = must(device.open_queue({}));
  std::vector<std::byte> buffer(8 * 512);
  for (uint64_t first = 80; first < 125; first++)
    EXPECT_EQ(lane->read(Sectors{first}, buffer).has_value(), first + 8 <= 100 || first >= 110)
        << first;
  EXPECT_TRUE(lane->flush());
  device.clear_rules();
  EXPECT_TRUE(lane->read(Sectors{100}, buffer));
}

TEST(FaultDevice, ChanceIsSeeded) {
  const auto run = [](uint64_t seed) {
    FaultDevice device(memory(), seed);
    device.add_rule({.chance = 0.3});
    auto lane = must(device.open_queue({}));
    std::vector<std::byte> buffer(512);
    std::string pattern;
    for (int i = 0; i < 200; i++) pattern += lane->read({}, buffer) ? '.' : 'x';
    return pattern;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
  const std::string pattern = run(1);
  const auto failures = std::ranges::count(pattern, 'x');
  EXPECT_GT(failures, 20);
  EXPECT_LT(failures, 120);
}

TEST(FaultDevice, B37_HoldsBackUntilReleasedAndOthersPass) {
  FaultDevice device(memory(), 1);
  device.add_rule(
      {.operation = Operation::kWrite, .times = 2, .hold = true, .status = IoStatus::kOk});
  auto lane = must(device.open_queue({}));
  auto ones = sector_of(1);
  TestBuffer seen(512);
  TestRequest held, failed, read;
  lane->submit(held.data(Operation::kWrite, {}, ones));
  ASSERT_EQ(lane->in_flight(), 1U);
  lane->submit(read.data(Operation::kRead, {}, seen.bytes()));
  while (read.completions == 0) lane->wait();
  EXPECT_EQ(seen.bytes()[0], std::byte{0});
  while (lane->poll() != 0 || !lane->prepare_to_wait()) {
  }
  pollfd entry{lane->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  // The release comes from elsewhere and wakes the owner.
  std::thread other([&] { device.release(); });
  lane->drain();
  other.join();
  EXPECT_EQ(held.status, IoStatus::kOk);
  ASSERT_TRUE(lane->read({}, seen.bytes()));
  EXPECT_EQ(seen.bytes()[0], std::byte{1});
}

TEST(Poison, B38_AFailedFlushPoisonsUntilReopened) {
  FaultDevice device(memory(), 1);
  device.add_rule({.operation = Operation::kFlush, .times = 1});
  auto lane = must(device.open_queue({}));
  auto other = must(device.open_queue({}));
  std::vector<std::byte> buffer(512);
  ASSERT_TRUE(lane->write({}, buffer));
  EXPECT_FALSE(lane->flush());
  EXPECT_TRUE(device.poisoned());
  TestRequest request;
  for (BlockQueue* queue : {lane.get(), other.get()}) {
    EXPECT_EQ(run_one(*queue, request.range(Operation::kFlush, {}, {})), IoStatus::kPoisoned);
    EXPECT_EQ(run_one(*queue, request.data(Operation::kWrite, {}, buffer)), IoStatus::kPoisoned);
    EXPECT_EQ(run_one(*queue, request.range(Operation::kDiscard, {}, Sectors{1})),
              IoStatus::kPoisoned);
    EXPECT_EQ(run_one(*queue, request.range(Operation::kWriteZeroes, {}, Sectors{1})),
              IoStatus::kPoisoned);
    EXPECT_EQ(run_one(*queue, request.data(Operation::kRead, {}, buffer)), IoStatus::kOk);
  }
}

// The first flush fails, the others do nothing, and well.
class FailsOnce final : public SynchronousQueue {
 public:
  explicit FailsOnce(DeviceState& state)
      : SynchronousQueue(state, {}, must(make_never_readable())) {}

 private:
  std::optional<IoStatus> do_step(BlockRequest&) noexcept override {
    return std::exchange(fails_, false) ? IoStatus::kIoError : IoStatus::kOk;
  }
  bool fails_ = true;
};

TEST(Poison, B38_AFlushBesideAFailedOneDoesNotEndWell) {
  DeviceState state(Geometry{.capacity = Sectors{8}});
  FailsOnce lane(state);
  TestRequest failing, beside;
  lane.submit(failing.range(Operation::kFlush, {}, {}));
  lane.submit(beside.range(Operation::kFlush, {}, {}));
  lane.drain();
  EXPECT_EQ(failing.status, IoStatus::kIoError);
  EXPECT_EQ(beside.status, IoStatus::kPoisoned);
}

TEST(Poison, OtherFailuresDoNotPoison) {
  FaultDevice device(memory(), 1);
  device.add_rule({.operation = Operation::kWrite, .times = 1});
  device.add_rule({.operation = Operation::kFlush, .times = 1, .status = IoStatus::kUnsupported});
  auto lane = must(device.open_queue({}));
  std::vector<std::byte> buffer(512);
  EXPECT_FALSE(lane->write({}, buffer));
  EXPECT_FALSE(lane->flush());
  EXPECT_FALSE(device.poisoned());
  EXPECT_TRUE(lane->write({}, buffer));
  EXPECT_TRUE(lane->flush());
}

class PowerCut : public testing::Test {
 protected:
  void write(uint64_t sector, uint8_t value) {
    ASSERT_TRUE(lane_->write(Sectors{sector}, sector_of(value)));
  }
  static std::vector<int> firsts(const std::vector<std::byte>& image, size_t sectors) {
    std::vector<int> values;
    for (size_t i = 0; i < sectors; i++) values.push_back(static_cast<int>(image[i * 512]));
    return values;
  }

  std::unique_ptr<PowerCutDisk> disk_ =
      must(PowerCutDisk::create(std::vector<std::byte>(16 * 512)));
  std::unique_ptr<BlockQueue> lane_ = must(disk_->open_queue({}));
};

TEST_F(PowerCut, WhatWasFlushedStays) {
  write(0, 1);
  write(1, 2);
  ASSERT_TRUE(lane_->flush());
  write(0, 3);
  write(2, 4);
  const size_t now = disk_->events();
  ASSERT_EQ(now, 5U);
  EXPECT_EQ(disk_->at_risk(now), (std::vector<size_t>{3, 4}));
  EXPECT_EQ(firsts(disk_->image_keeping(now, {}), 3), (std::vector{1, 2, 0}));
  EXPECT_EQ(firsts(disk_->image_keeping_all(now), 3), (std::vector{3, 2, 4}));
  const std::vector<size_t> second = {4};
  EXPECT_EQ(firsts(disk_->image_keeping(now, second), 3), (std::vector{1, 2, 4}));
  // Before the flush everything was at risk.
  EXPECT_EQ(disk_->at_risk(2), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(firsts(disk_->image_keeping(2, {}), 3), (std::vector{0, 0, 0}));
}

TEST_F(PowerCut, WritesMayChangePlaces) {
  write(0, 1);
  write(0, 2);
  const std::vector<size_t> reversed = {1, 0};
  EXPECT_EQ(firsts(disk_->image_keeping(2, reversed), 1), std::vector{1});
}

TEST_F(PowerCut, AFlushCoversOnlyWhatCompletedBeforeItsSubmission) {
  auto value = sector_of(1);
  TestRequest early, flush;
  lane_->submit(early.data(Operation::kWrite, {}, value));
  lane_->submit(flush.range(Operation::kFlush, {}, {}));
  lane_->drain();
  EXPECT_EQ(flush.status, IoStatus::kOk);
  EXPECT_EQ(disk_->at_risk(disk_->events()), std::vector<size_t>{0});
  ASSERT_TRUE(lane_->flush());
  EXPECT_TRUE(disk_->at_risk(disk_->events()).empty());
}

TEST_F(PowerCut, TornWritesAreTornBySector) {
  const std::vector<std::byte> long_write(8 * 512, std::byte{1});
  ASSERT_TRUE(lane_->write({}, long_write));
  std::set<std::vector<int>> outcomes;
  for (uint64_t seed = 0; seed < 64; seed++) {
    const auto image = disk_->image_torn(1, seed);
    ASSERT_EQ(image, disk_->image_torn(1, seed)) << "the same seed, the same image";
    for (size_t i = 0; i < image.size(); i++) ASSERT_EQ(image[i], image[i / 512 * 512]);
    outcomes.insert(firsts(image, 8));
  }
  EXPECT_GT(outcomes.size(), 32U);
}

TEST_F(PowerCut, DiscardsAndZeroesAreChangesToo) {
  write(0, 1);
  ASSERT_TRUE(lane_->flush());
  ASSERT_TRUE(lane_->write_zeroes({}, Sectors{1}));
  ASSERT_TRUE(lane_->discard(Sectors{3}, Sectors{2}));
  const size_t now = disk_->events();
  EXPECT_EQ(disk_->at_risk(now).size(), 2U);
  EXPECT_EQ(disk_->event(3).bytes.size(), 1024U);
  EXPECT_EQ(firsts(disk_->image_keeping(now, {}), 1), std::vector{1});
  EXPECT_EQ(firsts(disk_->image_keeping_all(now), 1), std::vector{0});
}

}  // namespace
}  // namespace splitring
