// What every BlockDevice promises (blkimage/block_device.h), as typed tests. A room that has a
// device says how to make one and gets them all:
//
//   struct MemoryProvider {
//     // A writable disk of that capacity; a fixture owns whatever stands behind it.
//     static std::unique_ptr<DiskFixture> make(Sectors capacity);
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, DeviceConformance, MemoryProvider);
//
// A fixture whose device cannot be made throws: that fails the test with the reason, or skips it if
// what was thrown is MachineLacks.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "blkimage/block_device.h"
#include "tests/support/must.h"

namespace splitring {

class DiskFixture {
 public:
  virtual ~DiskFixture() = default;
  virtual BlockDevice& device() = 0;
};

// The machine has not what a disk of this kind needs (rights, a kernel's module).
struct MachineLacks : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A fixture that owns a device and something below it, which goes last.
template <class Below = int>
class OwningFixture : public DiskFixture {
 public:
  explicit OwningFixture(std::unique_ptr<BlockDevice> device, Below below = {})
      : below_(std::move(below)), device_(std::move(device)) {}
  BlockDevice& device() override { return *device_; }
  Below& below() { return below_; }

 private:
  Below below_;
  std::unique_ptr<BlockDevice> device_;
};

// Page-aligned bytes, so that no device has to copy, unless `misalign` asks for it.
class TestBuffer {
 public:
  explicit TestBuffer(size_t bytes, size_t misalign = 0)
      : memory_(bytes + kPageSize + misalign), bytes_(bytes) {
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    start_ = round_up(address, kPageSize) - address + misalign;
  }
  [[nodiscard]] std::span<std::byte> bytes() { return std::span(memory_).subspan(start_, bytes_); }

 private:
  std::vector<std::byte> memory_;
  size_t bytes_;
  size_t start_;
};

inline void fill_pattern(std::span<std::byte> bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
}

// One request with its buffers, and whether and how often it completed.
struct TestRequest : BlockRequest {
  std::vector<iovec> list;
  int completions = 0;

  TestRequest() { complete = completed; }
  TestRequest(const TestRequest&) = delete;
  TestRequest& operator=(const TestRequest&) = delete;
  TestRequest& data(Operation what, Sectors at, std::span<std::byte> bytes) {
    list.assign(1, iovec{bytes.data(), bytes.size()});
    return scattered(what, at);
  }
  TestRequest& scattered(Operation what, Sectors at) {
    operation = what;
    first = at;
    buffers = list;
    return *this;
  }
  TestRequest& range(Operation what, Sectors at, Sectors count) {
    operation = what;
    first = at;
    length = count;
    buffers = {};
    return *this;
  }
  static void completed(BlockRequest& request) noexcept {
    static_cast<TestRequest&>(request).completions++;
  }
};

inline IoStatus run_one(BlockQueue& lane, TestRequest& request) {
  lane.submit(request);
  lane.drain();
  EXPECT_EQ(request.completions, 1);
  request.completions = 0;
  return request.status;
}

// One test's disk. The claims below are plain functions over it, so that they are compiled once
// however many disks there are.
class ConformanceTest : public ::testing::Test {
 public:
  static constexpr Sectors kCapacity{8192};  // 4 MiB

  std::unique_ptr<BlockQueue> open_lane(uint32_t depth = 32) {
    return must(device().open_queue(QueueOptions{.depth = depth}));
  }
  BlockDevice& device() { return fixture_->device(); }
  uint32_t block() { return device().geometry().logical_block_bytes; }
  Sectors block_sectors() { return Sectors::from_bytes(block()); }

 protected:
  std::unique_ptr<DiskFixture> fixture_;
};

namespace conformance {

inline void geometry_makes_sense(ConformanceTest& test) {
  const Geometry geometry = test.device().geometry();
  EXPECT_EQ(geometry.capacity, test.kCapacity);
  EXPECT_TRUE(geometry.logical_block_bytes == 512 || geometry.logical_block_bytes == 4096);
  EXPECT_TRUE(is_power_of_two(geometry.physical_block_bytes));
  EXPECT_GE(geometry.physical_block_bytes, geometry.logical_block_bytes);
  EXPECT_FALSE(geometry.read_only);
  EXPECT_GE(geometry.largest_request_bytes, kPageSize);
  EXPECT_FALSE(test.device().poisoned());
  EXPECT_FALSE(test.device().name().empty());
  auto lane = test.open_lane();
  EXPECT_EQ(lane->geometry().capacity, geometry.capacity);
}

inline void reads_what_was_written(ConformanceTest& test) {
  auto lane = test.open_lane();
  for (const size_t bytes : {size_t{4096}, size_t{65536}, size_t{1} << 20}) {
    TestBuffer out(bytes), in(bytes);
    fill_pattern(out.bytes(), bytes);
    const Sectors at{8};
    TestRequest request;
    ASSERT_EQ(run_one(*lane, request.data(Operation::kWrite, at, out.bytes())), IoStatus::kOk);
    ASSERT_EQ(run_one(*lane, request.data(Operation::kRead, at, in.bytes())), IoStatus::kOk);
    EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes())) << bytes;
  }
}

inline void every_block_is_its_own(ConformanceTest& test) {
  auto lane = test.open_lane();
  const uint64_t blocks = test.kCapacity.bytes() / test.block();
  TestBuffer buffer(test.block());
  const std::vector<uint64_t> chosen = {0, 1, blocks / 2, blocks - 2, blocks - 1};
  for (const uint64_t n : chosen) {
    std::ranges::fill(buffer.bytes(), static_cast<std::byte>(n + 1));
    ASSERT_TRUE(lane->write(Sectors{n * test.block_sectors().count}, buffer.bytes()));
  }
  for (const uint64_t n : chosen) {
    ASSERT_TRUE(lane->read(Sectors{n * test.block_sectors().count}, buffer.bytes()));
    EXPECT_TRUE(std::ranges::all_of(
        buffer.bytes(), [&](std::byte b) { return b == static_cast<std::byte>(n + 1); }));
  }
}

inline void b23_refuses_ranges_beyond_the_end(ConformanceTest& test) {
  auto lane = test.open_lane();
  const uint64_t capacity = test.kCapacity.count;
  const uint64_t block = test.block_sectors().count;
  TestBuffer buffer(2 * test.block());
  for (const uint64_t first : {capacity, capacity - block, uint64_t{1} << 63, ~uint64_t{0},
                               ~uint64_t{0} - 1, ~uint64_t{0} / 512, ~uint64_t{0} - block + 1}) {
    TestRequest request;
    for (const auto operation : {Operation::kRead, Operation::kWrite})
      EXPECT_EQ(run_one(*lane, request.data(operation, Sectors{first}, buffer.bytes())),
                IoStatus::kOutOfRange)
          << to_string(operation) << " at " << first;
    EXPECT_EQ(
        run_one(*lane, request.range(Operation::kWriteZeroes, Sectors{first}, Sectors{2 * block})),
        IoStatus::kOutOfRange)
        << first;
  }
  TestRequest request;
  for (const uint64_t count : {~uint64_t{0}, ~uint64_t{0} - 7, capacity, uint64_t{1} << 55}) {
    const Sectors first{block};
    EXPECT_EQ(run_one(*lane, request.range(Operation::kWriteZeroes, first, Sectors{count})),
              IoStatus::kOutOfRange);
    const IoStatus discarded =
        run_one(*lane, request.range(Operation::kDiscard, first, Sectors{count}));
    EXPECT_EQ(discarded, test.device().geometry().discard_granularity_bytes == 0
                             ? IoStatus::kUnsupported
                             : IoStatus::kOutOfRange);
  }
}

inline void refuses_what_is_not_a_multiple_of_the_block(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer buffer(2 * test.block());
  TestRequest request;
  for (const auto operation : {Operation::kRead, Operation::kWrite}) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{511}, size_t{513}})
      EXPECT_EQ(run_one(*lane, request.data(operation, {}, buffer.bytes().first(bytes))),
                IoStatus::kMisaligned)
          << bytes;
    request.list.clear();
    EXPECT_EQ(run_one(*lane, request.scattered(operation, {})), IoStatus::kMisaligned);
    if (test.block() == 512) continue;
    EXPECT_EQ(run_one(*lane, request.data(operation, Sectors{1}, buffer.bytes().first(4096))),
              IoStatus::kMisaligned);
    EXPECT_EQ(run_one(*lane, request.data(operation, {}, buffer.bytes().first(4096 + 512))),
              IoStatus::kMisaligned);
  }
  EXPECT_EQ(run_one(*lane, request.range(Operation::kWriteZeroes, Sectors{8}, {})),
            IoStatus::kMisaligned);
}

inline void completes_within_poll_only(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer buffer(4096);
  TestRequest good, bad;
  lane->submit(good.data(Operation::kRead, {}, buffer.bytes()));
  lane->submit(bad.data(Operation::kRead, test.kCapacity, buffer.bytes()));
  lane->kick();
  EXPECT_EQ(good.completions, 0);
  EXPECT_EQ(bad.completions, 0);
  EXPECT_EQ(lane->in_flight(), 2U);
  lane->drain();
  EXPECT_EQ(good.completions, 1);
  EXPECT_EQ(bad.completions, 1);
  EXPECT_EQ(good.status, IoStatus::kOk);
  EXPECT_EQ(bad.status, IoStatus::kOutOfRange);
  EXPECT_EQ(lane->in_flight(), 0U);
  EXPECT_EQ(lane->wait(), 0U);
}

inline void many_in_flight_beyond_the_depth(ConformanceTest& test) {
  auto lane = test.open_lane(4);
  constexpr size_t kCount = 100;
  std::vector<TestBuffer> buffers;
  std::vector<TestRequest> requests(kCount);
  for (size_t i = 0; i < kCount; i++) {
    buffers.emplace_back(4096);
    fill_pattern(buffers[i].bytes(), i);
    lane->submit(requests[i].data(Operation::kWrite, Sectors{i * 8}, buffers[i].bytes()));
  }
  EXPECT_EQ(lane->in_flight(), kCount);
  lane->drain();
  for (size_t i = 0; i < kCount; i++) {
    EXPECT_EQ(requests[i].completions, 1) << i;
    ASSERT_EQ(requests[i].status, IoStatus::kOk) << i;
    TestBuffer expected(4096);
    fill_pattern(expected.bytes(), i);
    ASSERT_TRUE(lane->read(Sectors{i * 8}, buffers[i].bytes()));
    EXPECT_TRUE(std::ranges::equal(buffers[i].bytes(), expected.bytes())) << i;
  }
}

inline void scatter_lists(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer whole(64 * 1024), back(64 * 1024);
  fill_pattern(whole.bytes(), 7);
  // Lengths of sectors, an empty one between, in sum a multiple of any block.
  for (const std::vector<size_t>& lengths :
       {std::vector<size_t>{512, 3584, 4096}, std::vector<size_t>{1024, 0, 1536, 1536, 4096, 8192},
        std::vector<size_t>(128, 512), std::vector<size_t>(11, 4096)}) {
    TestRequest write, read;
    size_t offset = 0;
    for (const size_t length : lengths) {
      write.list.push_back({whole.bytes().data() + offset, length});
      read.list.push_back({back.bytes().data() + offset, length});
      offset += length;
    }
    ASSERT_EQ(run_one(*lane, write.scattered(Operation::kWrite, Sectors{16})), IoStatus::kOk);
    ASSERT_EQ(run_one(*lane, read.scattered(Operation::kRead, Sectors{16})), IoStatus::kOk);
    EXPECT_TRUE(std::ranges::equal(back.bytes().first(offset), whole.bytes().first(offset)));
    std::ranges::fill(back.bytes(), std::byte{0});
  }
}

inline void any_address_works(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer out(300 * 1024, 1), in(300 * 1024, 515);
  fill_pattern(out.bytes(), 3);
  TestRequest request;
  ASSERT_EQ(run_one(*lane, request.data(Operation::kWrite, Sectors{8}, out.bytes())),
            IoStatus::kOk);
  ASSERT_EQ(run_one(*lane, request.data(Operation::kRead, Sectors{8}, in.bytes())), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
  // More of them at once than any pool of bounce memory holds.
  std::vector<TestRequest> many(40);
  for (size_t i = 0; i < many.size(); i++)
    lane->submit(
        many[i].data(Operation::kRead, Sectors{8 + 8 * i}, in.bytes().subspan(i * 4096, 4096)));
  lane->drain();
  EXPECT_TRUE(std::ranges::all_of(many, [](auto& r) { return r.status == IoStatus::kOk; }));
  EXPECT_TRUE(std::ranges::equal(in.bytes().first(40 * 4096), out.bytes().first(40 * 4096)));
}

inline void a_write_is_visible_on_every_lane(ConformanceTest& test) {
  auto one = test.open_lane();
  auto other = test.device().open_queue(QueueOptions{});
  if (!other) {
    EXPECT_EQ(other.error().code, Errc::kLimit);  // a device of one lane
    return;
  }
  TestBuffer buffer(4096), seen(4096);
  for (uint64_t i = 0; i < 50; i++) {
    fill_pattern(buffer.bytes(), i);
    ASSERT_TRUE((i % 2 == 0 ? *one : **other).write(Sectors{8 * (i % 5)}, buffer.bytes()));
    ASSERT_TRUE((i % 2 == 0 ? **other : *one).read(Sectors{8 * (i % 5)}, seen.bytes()));
    ASSERT_TRUE(std::ranges::equal(seen.bytes(), buffer.bytes())) << i;
  }
}

inline void flush_succeeds(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer buffer(4096);
  ASSERT_TRUE(lane->write({}, buffer.bytes()));
  EXPECT_TRUE(lane->flush());
  EXPECT_TRUE(lane->flush());
  EXPECT_FALSE(test.device().poisoned());
}

inline void discard_is_refused_or_right(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer ones(64 * 1024), seen(64 * 1024);
  std::ranges::fill(ones.bytes(), std::byte{1});
  ASSERT_TRUE(lane->write({}, ones.bytes()));
  TestRequest request;
  const Sectors block = test.block_sectors();
  const IoStatus status = run_one(*lane, request.range(Operation::kDiscard, block, Sectors{64}));
  EXPECT_EQ(status, test.device().geometry().discard_granularity_bytes == 0 ? IoStatus::kUnsupported
                                                                            : IoStatus::kOk);
  ASSERT_TRUE(lane->read({}, seen.bytes()));
  for (size_t sector = 0; sector < 128; sector++) {
    const auto bytes = seen.bytes().subspan(sector * 512, 512);
    const bool inside = sector >= block.count && sector < block.count + 64;
    const bool kept = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{1}; });
    const bool zero = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
    EXPECT_TRUE(kept || (inside && status == IoStatus::kOk && zero)) << sector;
  }
}

inline void write_zeroes_zeroes_exactly_that(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer ones(2 << 20), seen(2 << 20);
  std::ranges::fill(ones.bytes(), std::byte{1});
  ASSERT_TRUE(lane->write({}, ones.bytes()));
  const Sectors first = test.block_sectors();
  const Sectors length{3 * 1024 - 8};  // 1.5 MiB less a page: not a multiple of any slice
  TestRequest request;
  ASSERT_EQ(run_one(*lane, request.range(Operation::kWriteZeroes, first, length)), IoStatus::kOk);
  ASSERT_TRUE(lane->read({}, seen.bytes()));
  std::ranges::fill(ones.bytes().subspan(first.bytes(), length.bytes()), std::byte{0});
  EXPECT_TRUE(std::ranges::equal(seen.bytes(), ones.bytes()));
}

// The contract of fd(): submit, kick, poll; where prepare_to_wait() agrees, sleeping on the fd
// ends.
inline void no_wake_up_is_lost(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer buffer(8 * 4096);
  std::vector<TestRequest> requests(8);
  for (int round = 0; round < 200; round++) {
    const size_t count = 1 + static_cast<size_t>(round) % requests.size();
    for (size_t i = 0; i < count; i++) {
      const auto operation = static_cast<Operation>((round + static_cast<int>(i)) % 3);
      auto& request = requests[i];
      if (operation == Operation::kFlush)
        request.range(operation, {}, {});
      else
        request.data(operation, Sectors{i * 8}, buffer.bytes().subspan(i * 4096, 4096));
      lane->submit(request);
    }
    lane->kick();
    size_t done = 0;
    while (done < count) {
      const size_t now = lane->poll();
      done += now;
      if (now != 0 || !lane->prepare_to_wait()) continue;
      pollfd entry{lane->fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&entry, 1, 20'000), 1) << "asleep with " << count - done << " in flight";
    }
    ASSERT_EQ(lane->in_flight(), 0U);
  }
}

inline void pool_buffers_work(ConformanceTest& test) {
  auto lane = test.open_lane();
  const IoBuffer out = must(lane->allocate(16384));
  const IoBuffer in = must(lane->allocate(16384));
  EXPECT_EQ(out.bytes().size(), 16384U);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(out.bytes().data()) % kPageSize, 0U);
  fill_pattern(out.bytes(), 1);
  TestRequest request;
  ASSERT_EQ(run_one(*lane, request.data(Operation::kWrite, Sectors{8}, out.bytes())),
            IoStatus::kOk);
  ASSERT_EQ(run_one(*lane, request.data(Operation::kRead, Sectors{8}, in.bytes())), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
}

inline void completions_may_submit(ConformanceTest& test) {
  struct Chain : TestRequest {
    BlockQueue* lane = nullptr;
    int left = 100;
    static void next(BlockRequest& request) noexcept {
      auto& chain = static_cast<Chain&>(request);
      if (chain.left-- > 0) chain.lane->submit(chain);
    }
  };
  auto lane = test.open_lane(2);
  TestBuffer buffer(4 * 4096);
  std::vector<Chain> chains(4);
  for (size_t i = 0; i < chains.size(); i++) {
    chains[i].data(Operation::kRead, Sectors{i * 8}, buffer.bytes().subspan(i * 4096, 4096));
    chains[i].lane = lane.get();
    chains[i].complete = Chain::next;
    lane->submit(chains[i]);
  }
  lane->drain();
  for (const Chain& chain : chains) {
    EXPECT_EQ(chain.left, -1);
    EXPECT_EQ(chain.status, IoStatus::kOk);
  }
}

inline void blocking_calls_cover_the_whole_disk(ConformanceTest& test) {
  auto lane = test.open_lane();
  TestBuffer out(test.kCapacity.bytes()), in(test.kCapacity.bytes());
  fill_pattern(out.bytes(), 99);
  ASSERT_TRUE(lane->write({}, out.bytes()));
  ASSERT_TRUE(lane->flush());
  ASSERT_TRUE(lane->read({}, in.bytes()));
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
  const size_t block = test.block();
  fill_pattern(out.bytes().subspan(block, 3 * block), 100);
  ASSERT_TRUE(lane->write_durably(test.block_sectors(), out.bytes().subspan(block, 3 * block)));
  ASSERT_TRUE(lane->read({}, in.bytes()));
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
  const Sectors end = test.kCapacity;
  EXPECT_EQ(lane->write_durably(end, out.bytes().first(block)).error().code, Errc::kInvalid);
  // A bad range is found before anything changes.
  std::ranges::fill(in.bytes(), std::byte{0});
  const auto result = lane->write(test.block_sectors(), in.bytes());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kInvalid);
  EXPECT_NE(result.error().what.find("beyond the end"), std::string::npos) << result.error().what;
  ASSERT_TRUE(lane->read({}, in.bytes()));
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
}

// Rounds of requests that do not overlap, many in flight, against a plain array.
inline void random_operations_agree_with_a_model(ConformanceTest& test) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  auto lane = test.open_lane(8);
  const uint64_t block = test.block();
  const uint64_t blocks = test.kCapacity.bytes() / block;
  TestBuffer zero(test.kCapacity.bytes());
  ASSERT_TRUE(lane->write({}, zero.bytes()));
  std::vector<std::byte> model(test.kCapacity.bytes());
  constexpr size_t kPerRound = 24;
  const uint64_t window = blocks / kPerRound;
  for (int round = 0; round < 30; round++) {
    std::vector<TestRequest> requests(kPerRound);
    std::vector<TestBuffer> buffers;
    for (size_t i = 0; i < kPerRound; i++) {
      const uint64_t count = 1 + random() % std::min<uint64_t>(window, 40);
      const uint64_t first = i * window + random() % (window - count + 1);
      const Sectors at = Sectors::from_bytes(first * block);
      const size_t bytes = count * block;
      buffers.emplace_back(bytes, random() % 2 * 8);
      const auto spot = std::span(model).subspan(first * block, bytes);
      switch (random() % 4) {
        case 0:
          requests[i].range(Operation::kWriteZeroes, at, Sectors::from_bytes(bytes));
          std::ranges::fill(spot, std::byte{0});
          break;
        case 1: requests[i].data(Operation::kRead, at, buffers[i].bytes()); break;
        default:
          fill_pattern(buffers[i].bytes(), random());
          std::ranges::copy(buffers[i].bytes(), spot.begin());
          requests[i].data(Operation::kWrite, at, buffers[i].bytes());
      }
      lane->submit(requests[i]);
      if (random() % 5 == 0) lane->kick();
    }
    lane->drain();
    for (auto& request : requests) {
      ASSERT_EQ(request.status, IoStatus::kOk) << to_string(request.operation);
      ASSERT_EQ(request.completions, 1);
      if (request.operation != Operation::kRead) continue;
      const auto* seen = static_cast<const std::byte*>(request.list[0].iov_base);
      ASSERT_EQ(std::memcmp(seen, model.data() + request.first.bytes(), request.list[0].iov_len),
                0);
    }
  }
  ASSERT_TRUE(lane->read({}, zero.bytes()));
  EXPECT_TRUE(std::ranges::equal(zero.bytes(), model));
}

}  // namespace conformance

template <class Provider>
class DeviceConformance : public ConformanceTest {
 protected:
  void SetUp() override {
    try {
      fixture_ = Provider::make(kCapacity);
    } catch (const MachineLacks& lacking) {
      GTEST_SKIP() << lacking.what();
    }
  }
};

TYPED_TEST_SUITE_P(DeviceConformance);

TYPED_TEST_P(DeviceConformance, GeometryMakesSense) { conformance::geometry_makes_sense(*this); }
TYPED_TEST_P(DeviceConformance, ReadsWhatWasWritten) { conformance::reads_what_was_written(*this); }
TYPED_TEST_P(DeviceConformance, EveryBlockIsItsOwn) { conformance::every_block_is_its_own(*this); }
TYPED_TEST_P(DeviceConformance, B23_RefusesRangesBeyondTheEnd) {
  conformance::b23_refuses_ranges_beyond_the_end(*this);
}
TYPED_TEST_P(DeviceConformance, RefusesWhatIsNotAMultipleOfTheBlock) {
  conformance::refuses_what_is_not_a_multiple_of_the_block(*this);
}
TYPED_TEST_P(DeviceConformance, CompletesWithinPollOnly) {
  conformance::completes_within_poll_only(*this);
}
TYPED_TEST_P(DeviceConformance, ManyInFlightBeyondTheDepth) {
  conformance::many_in_flight_beyond_the_depth(*this);
}
TYPED_TEST_P(DeviceConformance, ScatterLists) { conformance::scatter_lists(*this); }
TYPED_TEST_P(DeviceConformance, AnyAddressWorks) { conformance::any_address_works(*this); }
TYPED_TEST_P(DeviceConformance, AWriteIsVisibleOnEveryLane) {
  conformance::a_write_is_visible_on_every_lane(*this);
}
TYPED_TEST_P(DeviceConformance, FlushSucceeds) { conformance::flush_succeeds(*this); }
TYPED_TEST_P(DeviceConformance, DiscardIsRefusedOrRight) {
  conformance::discard_is_refused_or_right(*this);
}
TYPED_TEST_P(DeviceConformance, WriteZeroesZeroesExactlyThat) {
  conformance::write_zeroes_zeroes_exactly_that(*this);
}
TYPED_TEST_P(DeviceConformance, NoWakeUpIsLost) { conformance::no_wake_up_is_lost(*this); }
TYPED_TEST_P(DeviceConformance, PoolBuffersWork) { conformance::pool_buffers_work(*this); }
TYPED_TEST_P(DeviceConformance, CompletionsMaySubmit) {
  conformance::completions_may_submit(*this);
}
TYPED_TEST_P(DeviceConformance, BlockingCallsCoverTheWholeDisk) {
  conformance::blocking_calls_cover_the_whole_disk(*this);
}
TYPED_TEST_P(DeviceConformance, RandomOperationsAgreeWithAModel) {
  conformance::random_operations_agree_with_a_model(*this);
}

REGISTER_TYPED_TEST_SUITE_P(DeviceConformance, GeometryMakesSense, ReadsWhatWasWritten,
                            EveryBlockIsItsOwn, B23_RefusesRangesBeyondTheEnd,
                            RefusesWhatIsNotAMultipleOfTheBlock, CompletesWithinPollOnly,
                            ManyInFlightBeyondTheDepth, ScatterLists, AnyAddressWorks,
                            AWriteIsVisibleOnEveryLane, FlushSucceeds, DiscardIsRefusedOrRight,
                            WriteZeroesZeroesExactlyThat, NoWakeUpIsLost, PoolBuffersWork,
                            CompletionsMaySubmit, BlockingCallsCoverTheWholeDisk,
                            RandomOperationsAgreeWithAModel);

}  // namespace splitring
