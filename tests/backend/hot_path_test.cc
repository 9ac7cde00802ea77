// From a ring to a raw image and back: no lock is taken and nothing allocated for a request.
#include <filesystem>
#include <mutex>

#include "base/unique_fd.h"
#include "blkimage/raw_image.h"
#include "tests/backend/backend_suite.h"
#include "tests/support/backend/lock_counter.h"
#include "tests/support/grant/allocation_counter.h"

namespace splitring::backend {
namespace {

using testing::allocations_of_this_thread;
using testing::locks_of_this_thread;

class HotPath : public AllWays {
 protected:
  HotPath() {
    std::string name = (std::filesystem::temp_directory_path() / "hot-XXXXXX").string();
    const UniqueFd fd(::mkstemp(name.data()));
    path_ = name;
    std::filesystem::resize_file(path_, 1U << 20);
  }
  ~HotPath() override { std::filesystem::remove(path_); }

  std::filesystem::path path_;
};
INSTANTIATE_TEST_SUITE_P(
    Kept, HotPath,
    ::testing::Combine(::testing::Values(blkif::Abi::kX86_64, blkif::Abi::kX86_32),
                       ::testing::Values(DataWay::kPersistent, DataWay::kCopied)),
    way_name);

TEST(HotPathCounters, CountWhatThereIsToCount) {
  const uint64_t allocations = allocations_of_this_thread();
  const auto memory = std::make_unique<int>(1);
  EXPECT_EQ(allocations_of_this_thread(), allocations + 1);
  std::mutex mutex;
  const uint64_t locks = locks_of_this_thread();
  const std::lock_guard lock(mutex);
  EXPECT_EQ(locks_of_this_thread(), locks + 1);
}

TEST_P(HotPath, TakesNoLockAndAllocatesNothing) {
  for (const bool io_uring : {true, false}) {
    auto image = RawImage::open(path_.string(), {.io_uring = io_uring});
    ASSERT_TRUE(image) << image.error().what;
    BenchOptions options = defaults();
    options.disk = image->get();
    options.sectors = 2048;
    PumpBench bench(options);
    // What a round asks for is made up before anything is counted.
    std::vector<HandRequest> round;
    for (uint32_t i = 0; i < 32; i++) {
      HandRequest request{.operation = i % 2 == 0 ? blkif::kOpRead : blkif::kOpWrite,
                          .id = i,
                          .sector = i * 8,
                          .segments = {segment(i), segment(i + 1)}};
      if (i == 31) request = {.operation = blkif::kOpFlushDiskcache, .id = i};
      round.push_back(request);
    }
    uint64_t allocations = 0;
    uint64_t locks = 0;
    for (int turn = 0; turn < 50; turn++) {
      for (const HandRequest& request : round) bench.frontend->push(request);
      static_cast<void>(bench.frontend->publish());
      const uint64_t allocations_before = allocations_of_this_thread();
      const uint64_t locks_before = locks_of_this_thread();
      bool moved = true;
      while (moved || bench.counters.in_flight.value() != 0) moved = bench.pump->turn();
      // The first round maps the pages that stay mapped.
      if (turn != 0) {
        allocations += allocations_of_this_thread() - allocations_before;
        locks += locks_of_this_thread() - locks_before;
      }
      ASSERT_EQ(bench.frontend->answers().size(), round.size());
    }
    EXPECT_EQ(bench.counters.requests[static_cast<size_t>(Work::kWrite)].value(), 15U * 50);
    EXPECT_EQ(allocations, 0U);
    EXPECT_EQ(locks, 0U);
  }
}

}  // namespace
}  // namespace splitring::backend
