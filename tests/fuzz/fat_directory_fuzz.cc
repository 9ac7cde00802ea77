// libFuzzer: the input is the root directory of a sound volume. Every entry that is listed can be
// found by its names, and what is then made, renamed and removed leaves the directory consistent.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "blkimage/memory_disk.h"
#include "fs/fat/fat_format.h"
#include "fs/fat/fat_volume.h"

namespace {

using namespace splitring;

constexpr uint64_t kRoot = uint64_t{19} * 512;  // of a floppy of 1440 KiB
constexpr size_t kRootBytes = size_t{14} * 512;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(1440 * 1024)));
  auto lane = std::move(*disk->open_queue({}));
  require(format_fat(*lane, {.id = 1}).has_value());
  std::vector<std::byte> root(kRootBytes);
  std::transform(data, data + std::min(size, root.size()), root.begin(),
                 [](uint8_t byte) { return std::byte{byte}; });
  require(lane->write(Sectors::from_bytes(kRoot), root).has_value());
  auto volume = FatVolume::open(*lane, {.utc = true});
  require(volume.has_value());
  const auto entries = (*volume)->list(*lane, kFatRoot, 0, SIZE_MAX);
  require(entries.has_value());
  for (const FatEntry& entry : *entries) {
    if (entry.stat.is_directory) continue;  // it may begin nowhere
    // A name of the disk need not be one that may be given.
    const auto found = (*volume)->lookup(*lane, kFatRoot, entry.name);
    require(found || found.error().code == Errc::kInvalid ||
            found.error().code == Errc::kNotFound || found.error().code == Errc::kIo);
  }
  const auto made = (*volume)->create(*lane, kFatRoot, "some new name.text");
  if (made) {
    require((*volume)->lookup(*lane, kFatRoot, "SOME NEW NAME.TEXT").has_value());
    require((*volume)->rename(*lane, kFatRoot, "some new name.text", kFatRoot, "X").has_value() ||
            (*volume)->lookup(*lane, kFatRoot, "X").has_value());
  }
  require((*volume)->close(*lane).has_value());
  return 0;
}
