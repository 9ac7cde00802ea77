// libFuzzer: the input is a disk; whatever is on it, opening, walking, resolving and reading stay
// inside it and end.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "fs/tar/tar_file_system.h"
#include "tests/support/fs/test_disk.h"

namespace {

using namespace splitring;

void require(bool condition) {
  if (!condition) std::abort();
}

void visit(const TarFileSystem& tar, BlockQueue& lane, const TarEntry& entry, uint64_t disk_bytes) {
  require(tar.find(entry.path).has_value());
  const auto resolved = tar.resolve(entry.path);
  require(!resolved || resolved->kind != TarKind::kSymlink);
  if (entry.kind != TarKind::kFile) return;
  if (!entry.sparse) require(in_range(entry.offset, entry.size, disk_bytes));
  uint64_t end = 0;
  for (const TarExtent& extent : entry.extents) {
    require(extent.bytes != 0 && extent.first >= end);
    require(in_range(extent.first, extent.bytes, entry.size));
    require(in_range(extent.offset, extent.bytes, disk_bytes));
    end = extent.first + extent.bytes;
  }
  std::array<std::byte, 1500> out;
  const auto got = tar.read(lane, entry, entry.size / 3, out);
  require(got && *got <= out.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint32_t block_bytes = size % 2 == 0 ? 512 : 4096;
  test::TestDisk disk(std::string(reinterpret_cast<const char*>(data), size), block_bytes);
  auto lane = std::move(*disk.open_queue({}));
  const TarLimits limits{
      .entries = 10'000, .name_bytes = 1U << 20, .extents = 10'000, .stop_at_end = size % 3 != 0};
  const auto tar = TarFileSystem::open(*lane, limits);
  if (!tar) return 0;
  const uint64_t disk_bytes = disk.geometry().capacity.bytes();
  (*tar)->for_each([&](const TarEntry& entry) { visit(**tar, *lane, entry, disk_bytes); });
  require((*tar)->list("").size() <= limits.entries);
  require((*tar)->end().offset <= disk_bytes);
  return 0;
}
