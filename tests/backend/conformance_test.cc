// The promises of every BlockDevice, kept by a frontend::Disk and the real Backend over a live
// ring; and no byte lost while backends come and go.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>

#include "frontend/disk.h"
#include "tests/support/backend/live_backend.h"
#include "tests/support/device_conformance.h"

namespace splitring {
namespace {

using backend::BackendOptions;
using backend::LiveBackend;

constexpr uint32_t kDevice = 51712;

struct Shape {
  std::string image;  // "mem" or "raw"
  uint32_t block_bytes = kSectorSize;
  uint32_t lanes = 1;
  bool persistent = true;
  bool trusted = true;
};

class ImageFile {
 public:
  explicit ImageFile(uint64_t bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "image-XXXXXX").string();
    const UniqueFd fd(::mkstemp(name.data()));
    path_ = name;
    std::filesystem::resize_file(path_, bytes);
  }
  ~ImageFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

class LiveDisk : public DiskFixture {
 public:
  LiveDisk(Sectors capacity, const Shape& shape)
      : file_(capacity.bytes()), live_(options_of(shape)), guest_(live_.guest(1)) {
    const DevicePath path = LiveBackend::path(1, kDevice);
    const std::string block = "?block=" + std::to_string(shape.block_bytes);
    live_.attach(path, shape.image == "mem" ? "mem:" + std::to_string(capacity.bytes()) + block
                                            : "raw:" + file_.path() + block);
    live_.write(path.frontend_directory() + "/trusted", shape.trusted ? "1" : "0");
    frontend::DiskOptions options;
    options.lanes = shape.lanes;
    options.connect_timeout = std::chrono::minutes(1);
    options.reconnect_timeout = std::chrono::minutes(2);
    disk_ = must(frontend::Disk::connect(*guest_, kDevice, options));
  }
  BlockDevice& device() override { return *disk_; }
  frontend::Disk& disk() { return *disk_; }
  LiveBackend& backend() { return live_; }

 private:
  static BackendOptions options_of(const Shape& shape) {
    BackendOptions options;
    options.offer.persistent_grants = shape.persistent;
    return options;
  }

  ImageFile file_;
  LiveBackend live_;
  std::unique_ptr<Host> guest_;
  std::unique_ptr<frontend::Disk> disk_;
};

struct MemoryPersistentTwoLanes {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return std::make_unique<LiveDisk>(capacity, Shape{.image = "mem", .lanes = 2});
  }
};
struct RawCopied {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return std::make_unique<LiveDisk>(capacity, Shape{.image = "raw", .persistent = false});
  }
};
struct RawLargeBlocksUntrusted {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return std::make_unique<LiveDisk>(
        capacity, Shape{.image = "raw", .block_bytes = 4096, .lanes = 2, .trusted = false});
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(MemoryPersistentTwoLanes, DeviceConformance,
                               MemoryPersistentTwoLanes);
INSTANTIATE_TYPED_TEST_SUITE_P(RawCopied, DeviceConformance, RawCopied);
INSTANTIATE_TYPED_TEST_SUITE_P(RawLargeBlocksUntrusted, DeviceConformance, RawLargeBlocksUntrusted);

// Writes and checks random runs of blocks until told to stop.
void check_against_a_model(BlockDevice& device, uint32_t seed, const std::atomic<bool>& stop,
                           std::atomic<uint64_t>& done) {
  constexpr size_t kBlocks = 128;
  const auto lane = must(device.open_queue({}));
  std::mt19937 random(seed);
  std::vector<uint64_t> model(kBlocks);  // what each block is filled from; 0: never written
  for (; !stop; done++) {
    const size_t block = random() % kBlocks;
    TestBuffer buffer(kPageSize);
    const Sectors at{block * kSectorsPerPage};
    if (random() % 2 == 0) {
      model[block] = uint64_t{random()} + 1;
      fill_pattern(buffer.bytes(), model[block]);
      const auto wrote = lane->write(at, buffer.bytes());
      ASSERT_TRUE(wrote) << wrote.error().what;
      continue;
    }
    const auto read = lane->read(at, buffer.bytes());
    ASSERT_TRUE(read) << read.error().what;
    TestBuffer expected(kPageSize);
    if (model[block] != 0) fill_pattern(expected.bytes(), model[block]);
    ASSERT_TRUE(std::ranges::equal(buffer.bytes(), expected.bytes())) << "block " << block;
  }
}

TEST(BackendConformance, NoByteIsLostWhileBackendsComeAndGo) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  LiveDisk disk({2048}, {.image = "raw"});
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> done = 0;
  std::thread load([&] { check_against_a_model(disk.device(), seed, stop, done); });
  uint64_t deaths = 0;
  for (int restart = 0; restart < 6; restart++) {
    const bool in_order = restart % 2 == 0;
    disk.backend().stop();
    if (!in_order) disk.backend().forget_rest(LiveBackend::path(1, kDevice));
    deaths += in_order ? 0 : 1;
    const uint64_t before = done;
    disk.backend().start();
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (disk.disk().statistics().reconnects < deaths || done < before + 100) {
      if (std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << "not going on: " << disk.disk().statistics().last_error;
        break;
      }
      std::this_thread::yield();
    }
  }
  EXPECT_EQ(disk.disk().statistics().reconnects, deaths) << "who ended in order is not missed";
  stop = true;
  load.join();
}

}  // namespace
}  // namespace splitring
