// libFuzzer: the input is a disk. Whatever is on it: mounting, walking, reading, changing, checking
// and repairing end, and stay inside it.
#include <cstdlib>

#include "blkimage/memory_disk.h"
#include "tests/support/fs/fat_exercise.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace splitring;
  constexpr size_t kMostBytes = size_t{1} << 20;
  if (size < 512 || size > kMostBytes) return 0;
  size = size / 512 * 512;
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(size)));
  auto lane = std::move(*disk->open_queue({}));
  if (!lane->write({0}, std::as_bytes(std::span(data, size)))) std::abort();
  test::exercise_fat(*lane);
  return 0;
}
