// Nothing is allocated per request: not by the lanes, not by what stands upon them.
#include <gtest/gtest.h>

#include "blkimage/memory_disk.h"
#include "blkimage/range_device.h"
#include "blkimage/raw_image.h"
#include "blkimage/stats_device.h"
#include "tests/support/blkimage/allocation_count.h"
#include "tests/support/blkimage/scratch_file.h"
#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

using Where = ScratchFile::Where;
constexpr Sectors kCapacity{8192};

void expect_no_allocations(BlockDevice& device) {
  auto lane = must(device.open_queue({.depth = 8}));
  TestBuffer buffer(32 * 4096, 8);
  std::vector<TestRequest> requests(32);
  for (size_t i = 0; i < requests.size(); i++) {
    const auto part = buffer.bytes().subspan(i * 4096, 4096);
    requests[i].data(i % 2 == 0 ? Operation::kRead : Operation::kWrite, Sectors{i * 8}, part);
  }
  requests[30].range(Operation::kFlush, {}, {});
  requests[31].range(Operation::kDiscard, Sectors{2048}, Sectors{8});
  const size_t before = allocations_of_this_thread();
  for (int round = 0; round < 5; round++) {
    for (TestRequest& request : requests) lane->submit(request);
    lane->drain();
  }
  EXPECT_EQ(allocations_of_this_thread(), before);
  for (const TestRequest& request : requests) EXPECT_EQ(request.completions, 5);
}

TEST(Allocation, TheCounterCounts) {
  const size_t before = allocations_of_this_thread();
  const auto something = std::make_unique<std::vector<int>>(100);
  EXPECT_EQ(allocations_of_this_thread(), before + 2);
}

TEST(Allocation, NonePerRequestOnRawLanes) {
  for (const Where where : {Where::kMemory, Where::kDisk}) {
    for (const auto direct : {RawOptions::Direct::kOff, RawOptions::Direct::kOn}) {
      for (const bool io_uring : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << static_cast<int>(where) << static_cast<int>(direct) << io_uring);
        const ScratchFile file(where, kCapacity);
        const auto image =
            must(RawImage::open(file.path(), {.direct = direct, .io_uring = io_uring}));
        expect_no_allocations(*image);
      }
    }
  }
}

TEST(Allocation, NonePerRequestInMemoryAndThroughDecorators) {
  auto memory = must(MemoryDisk::create(kCapacity));
  expect_no_allocations(*memory);
  auto stats = std::make_unique<StatsDevice>(std::move(memory));
  const auto range = must(make_range(std::move(stats), Sectors{8}, Sectors{8000}));
  expect_no_allocations(*range);
}

}  // namespace
}  // namespace splitring
