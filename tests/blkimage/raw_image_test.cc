#include "blkimage/raw_image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/support/blkimage/loop_device.h"
#include "tests/support/blkimage/scratch_file.h"
#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

using Direct = RawOptions::Direct;
using Where = ScratchFile::Where;

std::string error_of(const std::string& path, const RawOptions& options = {}) {
  const auto image = RawImage::open(path, options);
  return image ? "opened" : image.error().what;
}

uint64_t allocated_bytes(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST(RawImage, RefusesWhatIsNotAnImageInClearWords) {
  EXPECT_NE(error_of("/nowhere/disk.img").find("No such file"), std::string::npos);
  EXPECT_NE(error_of("/tmp").find("is a directory"), std::string::npos);
  EXPECT_NE(error_of("/dev/null").find("is a character device"), std::string::npos);
  const ScratchFile fifo(Where::kMemory, {});
  ASSERT_EQ(::unlink(fifo.path().c_str()), 0);
  ASSERT_EQ(::mkfifo(fifo.path().c_str(), 0600), 0);
  EXPECT_NE(error_of(fifo.path()).find("is a pipe"), std::string::npos);
}

TEST(RawImage, CanBeOpenedAgainAsSoonAsItIsClosed) {
  const ScratchFile file(Where::kDisk, Sectors{64});
  for (int turn = 0; turn < 20; turn++) {
    auto image = RawImage::open(file.path());
    ASSERT_TRUE(image) << image.error().what;
    const auto lane = (*image)->open_queue({});
    ASSERT_TRUE(lane) << lane.error().what;
    ASSERT_TRUE((*lane)->flush());
  }
}

TEST(RawImage, RefusesASizeThatIsNotWholeBlocks) {
  const ScratchFile file(Where::kMemory, Sectors{9});
  EXPECT_NE(error_of(file.path(), {.logical_block_bytes = 4096})
                .find("4608 bytes, is not a multiple of the block size, 4096"),
            std::string::npos);
  EXPECT_EQ(error_of(file.path()), "opened");
  ASSERT_EQ(::truncate(file.path().c_str(), 4609), 0);
  EXPECT_NE(error_of(file.path()).find("not a multiple"), std::string::npos);
  EXPECT_NE(error_of(file.path(), {.logical_block_bytes = 1024}).find("neither 512 nor 4096"),
            std::string::npos);
}

TEST(RawImage, B20_ReadOnlyHoldsAReadOnlyDescriptor) {
  const ScratchFile file(Where::kDisk, Sectors{64});
  const auto image = must(RawImage::open(file.path(), {.read_only = true}));
  EXPECT_TRUE(image->geometry().read_only);
  bool found = false;
  for (int fd = 0; fd < 256; fd++) {
    std::array<char, 4096> target{};
    const ssize_t length =
        ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
    if (length < 0 || std::string_view(target.data(), static_cast<size_t>(length)) != file.path())
      continue;
    found = true;
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  }
  EXPECT_TRUE(found);
  auto lane = must(image->open_queue({}));
  TestBuffer buffer(4096);
  TestRequest request;
  EXPECT_EQ(run_one(*lane, request.data(Operation::kWrite, {}, buffer.bytes())),
            IoStatus::kReadOnly);
  for (const auto operation : {Operation::kDiscard, Operation::kWriteZeroes})
    EXPECT_EQ(run_one(*lane, request.range(operation, {}, Sectors{8})), IoStatus::kReadOnly);
  EXPECT_EQ(run_one(*lane, request.range(Operation::kFlush, {}, {})), IoStatus::kOk);
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, {}, buffer.bytes())), IoStatus::kOk);
}

TEST(RawImage, B36_BytesOfAnotherFormatStayBytes) {
  const ScratchFile file(Where::kMemory, Sectors{64});
  TestBuffer header(4096);
  std::memcpy(header.bytes().data(), "QFI\xfb\0\0\0\3", 8);
  {
    const auto image = must(RawImage::open(file.path()));
    ASSERT_TRUE(must(image->open_queue({}))->write({}, header.bytes()));
  }
  const auto image = must(RawImage::open(file.path()));
  EXPECT_EQ(image->geometry().capacity, Sectors{64});
  TestBuffer seen(4096);
  ASSERT_TRUE(must(image->open_queue({}))->read({}, seen.bytes()));
  EXPECT_TRUE(std::ranges::equal(seen.bytes(), header.bytes()));
}

TEST(RawImage, OneWriterOrManyReaders) {
  const ScratchFile file(Where::kMemory, Sectors{64});
  {
    const auto writer = must(RawImage::open(file.path()));
    const auto second = RawImage::open(file.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::kBusy);
    EXPECT_FALSE(RawImage::open(file.path(), {.read_only = true}));
    EXPECT_TRUE(RawImage::open(file.path(), {.lock = false}));
  }
  const auto reader = must(RawImage::open(file.path(), {.read_only = true}));
  EXPECT_TRUE(RawImage::open(file.path(), {.read_only = true}));
  EXPECT_EQ(RawImage::open(file.path()).error().code, Errc::kBusy);
}

struct LaneKind {
  const char* name;
  Where where;
  RawOptions options;
};

class RawLanes : public testing::TestWithParam<LaneKind> {
 protected:
  std::unique_ptr<RawImage> open(const ScratchFile& file) {
    return must(RawImage::open(file.path(), GetParam().options));
  }
};

INSTANTIATE_TEST_SUITE_P(All, RawLanes,
                         testing::Values(LaneKind{"Tmpfs", Where::kMemory, {}},
                                         LaneKind{"Buffered", Where::kDisk, {}},
                                         LaneKind{"Direct", Where::kDisk, {.direct = Direct::kOn}},
                                         LaneKind{"Plain", Where::kDisk, {.io_uring = false}},
                                         LaneKind{"PlainDirect",
                                                  Where::kDisk,
                                                  {.direct = Direct::kOn, .io_uring = false}}),
                         [](const auto& lane_kind) { return lane_kind.param.name; });

TEST_P(RawLanes, I17_AShrunkFileGivesErrorsNotSignals) {
  const ScratchFile file(GetParam().where, Sectors{128});
  const auto image = open(file);
  auto lane = must(image->open_queue({}));
  ASSERT_EQ(::truncate(file.path().c_str(), 16 * 512), 0);
  TestBuffer buffer(8 * 4096);
  TestRequest request;
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, Sectors{64}, buffer.bytes())),
            IoStatus::kIoError);
  // Half of it is still there.
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, Sectors{8}, buffer.bytes())),
            IoStatus::kIoError);
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, {}, buffer.bytes().first(8192))),
            IoStatus::kOk);
  EXPECT_EQ(must(image->refresh_capacity()), Sectors{16});
  EXPECT_EQ(run_one(*lane, request.data(Operation::kRead, Sectors{64}, buffer.bytes())),
            IoStatus::kOutOfRange);
}

TEST_P(RawLanes, GrowsWhenTheFileGrew) {
  const ScratchFile file(GetParam().where, Sectors{64});
  const auto image = open(file);
  auto lane = must(image->open_queue({}));
  ASSERT_EQ(::truncate(file.path().c_str(), 256 * 512), 0);
  EXPECT_EQ(must(image->refresh_capacity()), Sectors{256});
  TestBuffer buffer(4096);
  EXPECT_TRUE(lane->write(Sectors{248}, buffer.bytes()));
}

TEST_P(RawLanes, DiscardGivesSpaceBackAndKeepsTheSize) {
  constexpr Sectors kSize{256 * 1024};  // 128 MiB: more than one slice
  const ScratchFile file(GetParam().where, kSize);
  const auto image = open(file);
  ASSERT_NE(image->geometry().discard_granularity_bytes, 0U);
  auto lane = must(image->open_queue({}));
  TestBuffer ones(1 << 20);
  std::ranges::fill(ones.bytes(), std::byte{1});
  for (const uint64_t mib : {0, 40, 127})
    ASSERT_TRUE(lane->write(Sectors{mib * 2048}, ones.bytes()));
  ASSERT_TRUE(lane->flush());
  ASSERT_GE(allocated_bytes(file.path()), 3U << 20);
  ASSERT_TRUE(lane->discard({}, kSize));
  EXPECT_LT(allocated_bytes(file.path()), 1U << 20);
  struct stat status {};
  ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), kSize.bytes());
  ASSERT_TRUE(lane->read(Sectors{40 * 2048}, ones.bytes()));
  EXPECT_TRUE(std::ranges::all_of(ones.bytes(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_P(RawLanes, B23_ALongDiscardLetsOthersPass) {
  constexpr Sectors kSize{uint64_t{64} << 21};  // 64 GiB of holes
  const ScratchFile file(GetParam().where, kSize);
  const auto image = open(file);
  auto lane = must(image->open_queue({}));
  TestBuffer buffer(4096);
  TestRequest discard, read;
  lane->submit(discard.range(Operation::kDiscard, {}, kSize));
  lane->submit(read.data(Operation::kRead, {}, buffer.bytes()));
  while (read.completions == 0) lane->wait();
  EXPECT_EQ(read.status, IoStatus::kOk);
  EXPECT_EQ(discard.completions, 0);
  lane->drain();
  EXPECT_EQ(discard.status, IoStatus::kOk);
}

TEST_P(RawLanes, DiscardMayBeTurnedOff) {
  const ScratchFile file(GetParam().where, Sectors{64});
  RawOptions options = GetParam().options;
  options.discard = false;
  const auto image = must(RawImage::open(file.path(), options));
  EXPECT_EQ(image->geometry().discard_granularity_bytes, 0U);
  auto lane = must(image->open_queue({}));
  TestRequest request;
  EXPECT_EQ(run_one(*lane, request.range(Operation::kDiscard, {}, Sectors{8})),
            IoStatus::kUnsupported);
  EXPECT_EQ(run_one(*lane, request.range(Operation::kWriteZeroes, {}, Sectors{8})), IoStatus::kOk);
}

TEST_P(RawLanes, MoreBuffersThanTheKernelTakesAtOnce) {
  const ScratchFile file(GetParam().where, Sectors{4096});
  const auto image = open(file);
  auto lane = must(image->open_queue({}));
  TestBuffer out(2500 * 512), in(2500 * 512);
  fill_pattern(out.bytes(), 5);
  TestRequest write, read;
  for (size_t i = 0; i < 2500; i++) {
    write.list.push_back({out.bytes().data() + i * 512, 512});
    read.list.push_back({in.bytes().data() + i * 512, 512});
  }
  ASSERT_EQ(run_one(*lane, write.scattered(Operation::kWrite, Sectors{8})), IoStatus::kOk);
  ASSERT_EQ(run_one(*lane, read.scattered(Operation::kRead, Sectors{8})), IoStatus::kOk);
  EXPECT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
}

TEST_P(RawLanes, ThePoolHasAnEndAndTakesBuffersBack) {
  const ScratchFile file(GetParam().where, Sectors{64});
  const auto image = open(file);
  auto lane = must(image->open_queue({}));
  for (int round = 0; round < 3; round++) {
    std::vector<IoBuffer> held;
    for (int i = 0; i < 16; i++) held.push_back(must(lane->allocate(65536)));
    held.erase(held.begin() + 3);
    EXPECT_TRUE(lane->allocate(65536));
  }
  EXPECT_FALSE(lane->allocate(size_t{1} << 60));
}

// A lane may be opened by one thread and owned by another.
TEST_P(RawLanes, BelongToTheThreadThatUsesThem) {
  const ScratchFile file(GetParam().where, Sectors{1024});
  const auto image = open(file);
  std::vector<std::unique_ptr<BlockQueue>> lanes;
  for (int i = 0; i < 2; i++) lanes.push_back(must(image->open_queue({})));
  std::vector<std::thread> owners;
  for (size_t i = 0; i < lanes.size(); i++) {
    owners.emplace_back([&, i] {
      BlockQueue& lane = *lanes[i];
      TestBuffer out(4096), in(4096);
      for (uint64_t n = 0; n < 50; n++) {
        fill_pattern(out.bytes(), n * 2 + i);
        ASSERT_TRUE(lane.write(Sectors{i * 512 + n * 8}, out.bytes()));
        if (n % 10 == 0) {
          ASSERT_TRUE(lane.flush());
        }
        ASSERT_TRUE(lane.read(Sectors{i * 512 + n * 8}, in.bytes()));
        ASSERT_TRUE(std::ranges::equal(in.bytes(), out.bytes()));
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
}

// The kernel tells an open file once of a write-back that failed.
TEST(RawImage, B38_EveryFlushBesideAFailedOneFails) {
  std::optional<LoopDevice> loop;
  UniqueFd file(::memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(file.get(), 1 << 20), 0);
  try {
    loop.emplace(file.get(), 512);
  } catch (const MachineLacks& lacking) {
    GTEST_SKIP() << lacking.what();
  }
  // What the page cache has taken for the second half can nowhere go.
  ASSERT_EQ(::ftruncate(file.get(), 1 << 19), 0);
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  for (const bool io_uring : {true, false}) {
    const auto image =
        must(RawImage::open(loop->path(), {.direct = Direct::kOff, .io_uring = io_uring}));
    auto lane = must(image->open_queue({}));
    auto other = must(image->open_queue({}));
    TestBuffer bytes(65536);
    ASSERT_TRUE(lane->write(Sectors{1024}, bytes.bytes()));
    std::array<TestRequest, 3> flushes;
    for (size_t i = 0; i < flushes.size(); i++) {
      BlockQueue& queue = i < 2 ? *lane : *other;
      queue.submit(flushes[i].range(Operation::kFlush, {}, {}));
      queue.kick();
    }
    // Poison is of all lanes; here each must have been told by itself.
    other->drain();
    EXPECT_EQ(flushes[2].status, IoStatus::kIoError) << "io_uring " << io_uring;
    lane->drain();
    EXPECT_EQ(flushes[0].status, IoStatus::kIoError) << "io_uring " << io_uring;
    EXPECT_NE(flushes[1].status, IoStatus::kOk) << "io_uring " << io_uring;
    EXPECT_EQ(flushes[1].completions, 1);
  }
}

TEST(RawImage, B38_ErrorsOfTheMediumKeepTheirMeaning) {
  EXPECT_EQ(io_status_from_errno(ENOSPC), IoStatus::kNoSpace);
  EXPECT_EQ(io_status_from_errno(EDQUOT), IoStatus::kNoSpace);
  EXPECT_EQ(io_status_from_errno(EIO), IoStatus::kIoError);
  EXPECT_EQ(io_status_from_errno(EOPNOTSUPP), IoStatus::kUnsupported);
  EXPECT_EQ(io_status_from_errno(ENODEV), IoStatus::kGone);
}

TEST(RawImage, DirectWhereItIsNotOfferedSaysSo) {
  const ScratchFile file(Where::kDisk, Sectors{64});
  EXPECT_TRUE(must(RawImage::open(file.path(), {.direct = Direct::kOn}))->direct());
  EXPECT_FALSE(must(RawImage::open(file.path()))->direct());
  EXPECT_NE(error_of("/proc/self/status", {.read_only = true, .direct = Direct::kOn})
                .find("no direct I/O here; use direct=off"),
            std::string::npos);
}

}  // namespace
}  // namespace splitring
