// Every disk of this room against what block_device.h promises.
#include "tests/support/device_conformance.h"

#include "blkimage/memory_disk.h"
#include "blkimage/raw_image.h"
#include "tests/support/blkimage/scratch_file.h"

namespace splitring {
namespace {

template <uint32_t block_bytes>
struct MemoryProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return std::make_unique<OwningFixture<>>(
        must(MemoryDisk::create(capacity, {.logical_block_bytes = block_bytes})));
  }
};

std::unique_ptr<DiskFixture> raw_fixture(Sectors capacity, ScratchFile::Where where,
                                         const RawOptions& options) {
  ScratchFile file(where, capacity);
  auto image = must(RawImage::open(file.path(), options));
  return std::make_unique<OwningFixture<ScratchFile>>(std::move(image), std::move(file));
}

template <ScratchFile::Where where, RawOptions::Direct direct, uint32_t block_bytes, bool io_uring>
struct RawProvider {
  static std::unique_ptr<DiskFixture> make(Sectors capacity) {
    return raw_fixture(
        capacity, where,
        {.direct = direct, .logical_block_bytes = block_bytes, .io_uring = io_uring});
  }
};

using Direct = RawOptions::Direct;
constexpr auto kMemory = ScratchFile::Where::kMemory;
constexpr auto kDisk = ScratchFile::Where::kDisk;

INSTANTIATE_TYPED_TEST_SUITE_P(Memory512, DeviceConformance, MemoryProvider<512>);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory4096, DeviceConformance, MemoryProvider<4096>);

using RawTmpfs = RawProvider<kMemory, Direct::kOff, 512, true>;
using RawBuffered = RawProvider<kDisk, Direct::kOff, 512, true>;
using RawBuffered4096 = RawProvider<kDisk, Direct::kOff, 4096, true>;
using RawDirect = RawProvider<kDisk, Direct::kOn, 4096, true>;
using RawPlainBuffered = RawProvider<kDisk, Direct::kOff, 512, false>;
using RawPlainDirect = RawProvider<kDisk, Direct::kOn, 4096, false>;
INSTANTIATE_TYPED_TEST_SUITE_P(RawTmpfs, DeviceConformance, RawTmpfs);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBuffered, DeviceConformance, RawBuffered);
INSTANTIATE_TYPED_TEST_SUITE_P(RawBuffered4096, DeviceConformance, RawBuffered4096);
INSTANTIATE_TYPED_TEST_SUITE_P(RawDirect, DeviceConformance, RawDirect);
INSTANTIATE_TYPED_TEST_SUITE_P(RawPlainBuffered, DeviceConformance, RawPlainBuffered);
INSTANTIATE_TYPED_TEST_SUITE_P(RawPlainDirect, DeviceConformance, RawPlainDirect);

}  // namespace
}  // namespace splitring
