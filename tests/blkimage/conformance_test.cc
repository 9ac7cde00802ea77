// Every disk of this room against what block_device.h promises.
#include "tests/support/device_conformance.h"

#include "blkimage/fault_device.h"
#include "blkimage/memory_disk.h"
#include "blkimage/power_cut_disk.h"
#include "blkimage/range_device.h"
#include "blkimage/raw_image.h"
#include "blkimage/stats_device.h"
#include "blkimage/throttle_device.h"
#include "tests/support/blkimage/loop_device.h"
#include "tests/support/blkimage/scratch_file.h"

namespace splitring {
namespace {

using Direct = RawOptions::Direct;
using Where = ScratchFile::Where;

std::unique_ptr<BlockDevice> memory(Sectors capacity, uint32_t block_bytes = 512) {
  return must(MemoryDisk::create(capacity, {.logical_block_bytes = block_bytes}));
}

std::unique_ptr<DiskFixture> own(std::unique_ptr<BlockDevice> device) {
  return std::make_unique<OwningFixture<>>(std::move(device));
}

template <uint32_t block_bytes>
struct Memory {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return own(memory(capacity, block_bytes));
  }
};

template <Where where, Direct direct, uint32_t block_bytes, bool io_uring>
struct Raw {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    ScratchFile file(where, capacity);
    auto image = must(RawImage::open(
        file.path(), {.direct = direct, .logical_block_bytes = block_bytes, .io_uring = io_uring}));
    return std::make_unique<OwningFixture<ScratchFile>>(std::move(image), std::move(file));
  }
};

// A real block device: its capacity and blocks are the kernel's word, its discards a system call.
template <uint32_t block_bytes, bool io_uring>
struct RawBlockDevice {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    LoopDevice loop(capacity, block_bytes);
    auto image = must(RawImage::open(loop.path(), {.direct = Direct::kOn, .io_uring = io_uring}));
    return std::make_unique<OwningFixture<LoopDevice>>(std::move(image), std::move(loop));
  }
};

// In the middle of a larger disk.
struct Range {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    auto whole = memory(capacity + Sectors{2048});
    return own(must(make_range(std::move(whole), Sectors{1024}, capacity)));
  }
};

struct Stats {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return own(std::make_unique<StatsDevice>(memory(capacity)));
  }
};

struct Throttled {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return own(make_throttled(memory(capacity), {.requests_per_second = 100'000,
                                                 .bytes_per_second = 4U << 30,
                                                 .burst_requests = 4,
                                                 .burst_bytes = 65536}));
  }
};

// No rules: everything passes.
struct Faultless {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return own(std::make_unique<FaultDevice>(memory(capacity), 1));
  }
};

template <uint32_t block_bytes>
struct PowerCut {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return own(must(PowerCutDisk::create(std::vector<std::byte>(capacity.bytes()), block_bytes)));
  }
};

// Decorators over a lane that really sleeps.
struct StatsOverDirect {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    ScratchFile file(Where::kDisk, capacity);
    auto image = must(RawImage::open(file.path(), {.direct = Direct::kOn}));
    auto stack = std::make_unique<FaultDevice>(std::make_unique<StatsDevice>(std::move(image)), 1);
    return std::make_unique<OwningFixture<ScratchFile>>(std::move(stack), std::move(file));
  }
};

using RawTmpfs = Raw<Where::kMemory, Direct::kOff, 512, true>;
using RawBuffered = Raw<Where::kDisk, Direct::kOff, 512, true>;
using RawBuffered4096 = Raw<Where::kDisk, Direct::kOff, 4096, true>;
using RawDirect = Raw<Where::kDisk, Direct::kOn, 4096, true>;
using RawPlainBuffered = Raw<Where::kDisk, Direct::kOff, 512, false>;
using RawPlainDirect = Raw<Where::kDisk, Direct::kOn, 4096, false>;
using RawBlockDevice512 = RawBlockDevice<512, true>;
using RawBlockDevice4096 = RawBlockDevice<4096, true>;
using RawPlainBlockDevice = RawBlockDevice<512, false>;

INSTANTIATE_TYPED_TEST_SUITE_P(Memory512, DeviceConformance, Memory<512>);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory4096, DeviceConformance, Memory<4096>);
INSTANTIATE_TYPED_TEST_SUITE_P(RawTmpfs, DeviceConformance, RawTmpfs);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBuffered, DeviceConformance, RawBuffered);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBuffered4096, DeviceConformance, RawBuffered4096);
INSTANTIATE_TYPED_TEST_SUITE_P(RawDirect, DeviceConformance, RawDirect);
INSTANTIATE_TYPED_TEST_SUITE_P(RawPlainBuffered, DeviceConformance, RawPlainBuffered);
INSTANTIATE_TYPED_TEST_SUITE_P(RawPlainDirect, DeviceConformance, RawPlainDirect);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBlockDevice512, DeviceConformance, RawBlockDevice512);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBlockDevice4096, DeviceConformance, RawBlockDevice4096);
INSTANTIATE_TYPED_TEST_SUITE_P(RawPlainBlockDevice, DeviceConformance, RawPlainBlockDevice);
INSTANTIATE_TYPED_TEST_SUITE_P(Range, DeviceConformance, Range);
INSTANTIATE_TYPED_TEST_SUITE_P(Stats, DeviceConformance, Stats);
INSTANTIATE_TYPED_TEST_SUITE_P(Throttled, DeviceConformance, Throttled);
INSTANTIATE_TYPED_TEST_SUITE_P(Faultless, DeviceConformance, Faultless);
INSTANTIATE_TYPED_TEST_SUITE_P(PowerCut512, DeviceConformance, PowerCut<512>);
INSTANTIATE_TYPED_TEST_SUITE_P(PowerCut4096, DeviceConformance, PowerCut<4096>);
INSTANTIATE_TYPED_TEST_SUITE_P(StatsOverDirect, DeviceConformance, StatsOverDirect);

}  // namespace
}  // namespace splitring
