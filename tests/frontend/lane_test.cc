// The way of a request through a lane: how it is cut, what is copied, what it costs.
#include <algorithm>
#include <numeric>

#include "tests/support/frontend/disk_test.h"
#include "tests/support/grant/allocation_counter.h"

namespace splitring::testing {
namespace {

using frontend::DiskOptions;
using frontend::GrantedPool;

class LanePath : public DiskTest {
 protected:
  uint64_t bounced() { return disk_->statistics().bounced_bytes; }
  static uint64_t bytes_of(const std::vector<blkif::CheckedSegment>& segments) {
    return std::accumulate(segments.begin(), segments.end(), uint64_t{0},
                           [](uint64_t sum, const auto& s) { return sum + s.byte_count; });
  }
  // Answers everything until the request is done.
  IoStatus serve(TestRequest& request) {
    eventually(
        [&] {
          peer_->serve();
          lane_->poll();
          return request.completions != 0;
        },
        "the completion of a request");
    EXPECT_EQ(request.completions, 1);
    request.completions = 0;
    return request.status;
  }
};

TEST_F(LanePath, BuffersOfThePoolGoByReference) {
  start();
  IoBuffer buffer = must(lane_->allocate(3 * kPageSize));
  fill_pattern(buffer.bytes(), 1);
  TestRequest request;
  send(request.data(Operation::kWrite, Sectors{8}, buffer.bytes()));
  const Wire::Request wire = peer_->take();
  EXPECT_EQ(wire.operation, blkif::kOpWrite);
  EXPECT_EQ(wire.sector, 8U);
  const auto segments = peer_->segments(wire);
  ASSERT_EQ(segments.size(), 3U);
  for (size_t i = 0; i < 3; i++)
    EXPECT_TRUE(std::ranges::equal(peer_->page(segments[i].ref),
                                   buffer.bytes().subspan(i * kPageSize, kPageSize)));
  peer_->answer(wire);
  EXPECT_EQ(finish(request), IoStatus::kOk);
  EXPECT_EQ(bounced(), 0U);
}

TEST_F(LanePath, AnySectorOfThePoolGoesByReference) {
  start();
  IoBuffer buffer = must(lane_->allocate(2 * kPageSize));
  TestRequest request;
  // From the last sector of a page into the next.
  send(request.data(Operation::kRead, {}, buffer.bytes().subspan(7 * 512, 1024)));
  const auto segments = peer_->segments(peer_->take());
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].byte_offset, 7 * 512);
  EXPECT_EQ(segments[0].byte_count, 512);
  EXPECT_EQ(segments[1].byte_offset, 0);
  EXPECT_EQ(segments[1].byte_count, 512);
  EXPECT_EQ(bounced(), 0U);
}

TEST_F(LanePath, F12_OtherBuffersAreBouncedThroughPagesOfOurOwn) {
  start();
  TestBuffer buffer(kPageSize + 512, 3);
  fill_pattern(buffer.bytes(), 2);
  TestRequest request;
  send(request.data(Operation::kWrite, {}, buffer.bytes()));
  const auto wire = peer_->take();
  const auto segments = peer_->segments(wire);
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[1].byte_count, 512);
  EXPECT_TRUE(std::ranges::equal(peer_->page(segments[0].ref), buffer.bytes().first(kPageSize)));
  // Beyond the data of a page the backend sees zeroes, not our memory.
  EXPECT_TRUE(std::ranges::all_of(peer_->page(segments[1].ref).subspan(512),
                                  [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(bounced(), kPageSize + 512);
  peer_->answer(wire);
  EXPECT_EQ(finish(request), IoStatus::kOk);
}

TEST_F(LanePath, F12_NothingOfACallerIsSharedWithABackendThatIsNotTrusted) {
  start({.trusted = false});
  EXPECT_FALSE(disk_->statistics().trusted);
  IoBuffer buffer = must(lane_->allocate(kPageSize));
  fill_pattern(buffer.bytes(), 3);
  TestRequest write, read;
  send(write.data(Operation::kWrite, {}, buffer.bytes()));
  const auto wire = peer_->take();
  const auto segments = peer_->segments(wire);
  EXPECT_EQ(bounced(), kPageSize);
  // What it does to its page does not reach the caller's.
  const std::span<std::byte> shared = peer_->page(segments[0].ref);
  EXPECT_TRUE(std::ranges::equal(shared, buffer.bytes()));
  std::ranges::fill(shared, std::byte{0xee});
  EXPECT_NE(buffer.bytes()[0], std::byte{0xee});
  peer_->answer(wire);
  EXPECT_EQ(finish(write), IoStatus::kOk);
  // F10: nor does it get the data of an earlier request by answering a read without filling it.
  send(read.data(Operation::kRead, {}, buffer.bytes()));
  peer_->answer(peer_->take());
  EXPECT_EQ(finish(read), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::all_of(buffer.bytes(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(LanePath, RefsAreUsedAgainLatestFirst) {
  start();
  TestBuffer buffer(kPageSize);
  uint32_t ref = 0;
  for (int i = 0; i < 5; i++) {
    TestRequest request;
    send(request.data(Operation::kRead, {}, buffer.bytes()));
    const auto wire = peer_->take();
    if (i == 0) ref = wire.segments[0].ref;
    EXPECT_EQ(wire.segments[0].ref, ref);
    peer_->answer(wire);
    EXPECT_EQ(finish(request), IoStatus::kOk);
  }
}

TEST_F(LanePath, LargeRequestsAreIndirect) {
  start();
  TestBuffer buffer(1 << 20);
  for (const size_t bytes : {size_t{12} * kPageSize, size_t{128} * 1024, size_t{1} << 20}) {
    TestRequest request;
    send(request.data(Operation::kRead, {}, buffer.bytes().first(bytes)));
    const auto wire = peer_->take();
    EXPECT_EQ(wire.operation, blkif::kOpIndirect);
    EXPECT_EQ(bytes_of(peer_->segments(wire)), bytes);
    EXPECT_FALSE(peer_->try_take());
    peer_->answer(wire);
    EXPECT_EQ(finish(request), IoStatus::kOk);
  }
  TestRequest request;
  send(request.data(Operation::kRead, {}, buffer.bytes().first(11 * kPageSize)));
  EXPECT_EQ(peer_->take().operation, blkif::kOpRead);
}

TEST_F(LanePath, WithoutIndirectRequestsLargeOnesAreCutAtElevenPages) {
  start({.offer = {.max_indirect_segments = 0}});
  EXPECT_EQ(disk_->geometry().largest_request_bytes, 11U * kPageSize);
  TestBuffer out(128 * 1024), in(128 * 1024);
  fill_pattern(out.bytes(), 4);
  TestRequest request;
  send(request.data(Operation::kWrite, Sectors{16}, out.bytes()));
  std::vector<uint64_t> sectors;
  for (int i = 0; i < 3; i++) {
    const auto wire = peer_->take();
    sectors.push_back(wire.sector);
    peer_->answer(wire, peer_->execute(wire));
  }
  EXPECT_EQ(sectors, (std::vector<uint64_t>{16, 16 + 88, 16 + 176}));
  EXPECT_EQ(finish(request), IoStatus::kOk);
  TestRequest back;
  lane_->submit(back.data(Operation::kRead, Sectors{16}, in.bytes()));
  lane_->kick();
  EXPECT_EQ(serve(back), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
}

TEST_F(LanePath, OneFailedPartFailsTheRequestOnce) {
  start({.offer = {.max_indirect_segments = 0}});
  TestBuffer buffer(128 * 1024);
  TestRequest request;
  send(request.data(Operation::kRead, {}, buffer.bytes()));
  const auto one = peer_->take(), two = peer_->take(), three = peer_->take();
  peer_->answer(two, blkif::Status::kError);
  peer_->answer(one);
  lane_->poll();
  EXPECT_EQ(request.completions, 0);  // its buffers are still in use
  peer_->answer(three);
  EXPECT_EQ(finish(request), IoStatus::kIoError);
}

TEST_F(LanePath, ABatchIsPublishedOnceAndRungForOnce) {
  start();
  TestBuffer buffer(kPageSize);
  std::vector<TestRequest> requests(20);
  for (auto& request : requests) lane_->submit(request.data(Operation::kRead, {}, buffer.bytes()));
  EXPECT_FALSE(peer_->try_take());  // submit only queues
  lane_->kick();
  EXPECT_EQ(disk_->statistics().notifications, 1U);
  for (size_t i = 0; i < requests.size(); i++) peer_->answer(peer_->take());
  EXPECT_EQ(lane_->poll(), requests.size());
}

TEST_F(LanePath, MoreRequestsThanSlotsWaitTheirTurn) {
  start({.offer = {.max_ring_page_order = 0}});
  TestBuffer buffer(kPageSize);
  std::vector<TestRequest> requests(100);
  for (auto& request : requests) lane_->submit(request.data(Operation::kRead, {}, buffer.bytes()));
  lane_->kick();
  size_t taken = 0;
  while (peer_->try_take()) taken++;
  EXPECT_EQ(taken, 32U);
}

TEST_F(LanePath, AUsedUpPoolDelaysAndNeverBlocks) {
  DiskOptions options = hasty();
  options.pool_pages = 128;
  start({}, options);
  // All that the pool gives away; what it keeps carries every other request.
  std::vector<IoBuffer> held;
  while (true) {
    auto buffer = lane_->allocate(kPageSize);
    if (!buffer) {
      EXPECT_EQ(buffer.error().code, Errc::kLimit);
      break;
    }
    held.push_back(std::move(*buffer));
  }
  EXPECT_FALSE(lane_->allocate(size_t{1} << 30));
  TestBuffer out(1 << 20, 1), in(1 << 20, 1);
  fill_pattern(out.bytes(), 5);
  TestRequest write, read;
  lane_->submit(write.data(Operation::kWrite, {}, out.bytes()));
  lane_->kick();
  EXPECT_EQ(serve(write), IoStatus::kOk);
  std::vector<TestRequest> reads(8);
  for (size_t i = 0; i < reads.size(); i++)
    lane_->submit(reads[i].data(Operation::kRead, Sectors{i * 256},
                                in.bytes().subspan(i * 128 * 1024, 128 * 1024)));
  lane_->kick();
  while (lane_->in_flight() != 0) {
    peer_->serve();
    lane_->poll();
  }
  for (auto& request : reads) EXPECT_EQ(request.status, IoStatus::kOk);
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
}

TEST_F(LanePath, APoolOfTooFewPagesIsRefused) {
  DiskOptions options = hasty();
  options.pool_pages = GrantedPool::kMinPages - 1;
  Peer peer(machine_, {});
  peer.offer();
  const auto disk = frontend::Disk::connect(*host_, kXvda, options);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code, Errc::kInvalid);
  EXPECT_NE(disk.error().what.find("fewer lanes"), std::string::npos) << disk.error().what;
}

// Of the 1024 that the domain may grant, others hold 724; a ring of one page goes with each lane.
TEST_F(LanePath, APoolThatMayShrinkTakesWhatTheDomainMayStillGrant) {
  const auto others = must(host_->open_grant_share());
  const auto held = must(others->share(DomId{0}, 724, Access::kReadWrite));
  DiskOptions options = hasty();
  options.lanes = 4;
  options.pool_pages = 960;
  options.least_pool_pages = GrantedPool::kMinPages;
  options.max_ring_page_order = 0;
  start({.offer = {.max_queues = 4}}, options);
  EXPECT_EQ(disk_->statistics().lanes, 3U);  // 240 pages: 80 for each
  IoBuffer buffer = must(lane_->allocate(40 * kPageSize));
  TestRequest request;
  send(request.data(Operation::kWrite, {}, buffer.bytes().first(kPageSize)));
  peer_->answer(peer_->take());
  EXPECT_EQ(finish(request), IoStatus::kOk);
}

TEST_F(LanePath, APoolThatMayNotShrinkIsRefusedWithTheNumbers) {
  const auto others = must(host_->open_grant_share());
  const auto held = must(others->share(DomId{0}, 724, Access::kReadWrite));
  Peer peer(machine_, {});
  peer.offer();
  DiskOptions options = hasty();
  options.pool_pages = 400;
  const auto disk = frontend::Disk::connect(*host_, kXvda, options);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code, Errc::kLimit);
  EXPECT_NE(disk.error().what.find("1024"), std::string::npos) << disk.error().what;
}

TEST_F(LanePath, DiscardsGoAsOneRequest) {
  start({.disk = {.capacity = Sectors{8192}, .discard = true, .discard_granularity_bytes = 512}});
  TestRequest request;
  send(request.range(Operation::kDiscard, Sectors{8}, Sectors{8000}));
  const auto wire = peer_->take();
  Wire::Discard discard;
  std::memcpy(&discard, &wire, sizeof discard);
  EXPECT_EQ(discard.operation, blkif::kOpDiscard);
  EXPECT_EQ(discard.flags, 0);
  EXPECT_EQ(discard.sector, 8U);
  EXPECT_EQ(discard.sector_count, 8000U);
  peer_->answer(wire, blkif::Status::kUnsupported);
  EXPECT_EQ(finish(request), IoStatus::kUnsupported);
}

TEST_F(LanePath, ZeroesAreWrittenFromOnePage) {
  start();
  TestRequest request;
  send(request.range(Operation::kWriteZeroes, {}, Sectors{1024}));
  const auto wire = peer_->take();
  EXPECT_EQ(wire.operation, blkif::kOpIndirect);
  const auto segments = peer_->segments(wire);
  EXPECT_EQ(bytes_of(segments), 512U << 10);
  EXPECT_TRUE(
      std::ranges::all_of(segments, [&](const auto& s) { return s.ref == segments.front().ref; }));
  EXPECT_EQ(bounced(), 0U);
}

// Xen lets a grant be mapped 128 times, and xen-blkback maps it for each segment.
TEST_F(LanePath, ThePageOfZeroesIsNeverNamedMoreOftenThanItCanBeMapped) {
  start();
  TestRequest request;
  send(request.range(Operation::kWriteZeroes, {}, Sectors{2048}));
  uint64_t zeroed = 0;
  while (zeroed != 1U << 20) {
    std::vector<Wire::Request> wires;
    size_t named = 0;
    while (const auto wire = peer_->try_take()) wires.push_back(*wire);
    for (const auto& wire : wires) {
      const auto segments = peer_->segments(wire);
      named += segments.size();
      zeroed += bytes_of(segments);
    }
    EXPECT_LE(named, 128U);
    ASSERT_NE(named, 0U);
    for (const auto& wire : wires) peer_->answer(wire);
    lane_->poll();
    lane_->kick();
  }
  EXPECT_EQ(finish(request), IoStatus::kOk);
}

// Steady state, both kinds of buffers, direct and indirect: nothing is allocated.
TEST_F(LanePath, NoRequestAllocates) {
  start();
  TestBuffer foreign(128 * 1024);
  IoBuffer own = must(lane_->allocate(128 * 1024));
  constexpr size_t kRequests = 32;
  std::vector<TestRequest> requests(kRequests);
  uint64_t allocated = 0;
  for (int round = 0; round < 50; round++) {
    for (size_t i = 0; i < kRequests; i++) {
      const auto bytes = i % 2 == 0 ? foreign.bytes() : own.bytes();
      if (i % 8 == 7)
        requests[i].range(Operation::kFlush, {}, {});
      else
        requests[i].data(i % 4 < 2 ? Operation::kRead : Operation::kWrite, Sectors{i * 8},
                         bytes.first(i % 5 == 0 ? 128 * 1024 : 4096));
    }
    const uint64_t before = allocations_of_this_thread();
    for (auto& request : requests) lane_->submit(request);
    lane_->kick();
    (void)lane_->poll();
    (void)lane_->prepare_to_wait();
    allocated += allocations_of_this_thread() - before;
    size_t done = 0;
    while (done != kRequests) {
      peer_->serve();
      const uint64_t here = allocations_of_this_thread();
      done += lane_->poll();
      (void)lane_->prepare_to_wait();
      allocated += allocations_of_this_thread() - here;
    }
  }
  EXPECT_EQ(allocated, 0U);
  EXPECT_EQ(requests[0].completions, 50);
}

}  // namespace
}  // namespace splitring::testing
