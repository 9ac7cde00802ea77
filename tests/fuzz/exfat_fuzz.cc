// libFuzzer: the input says what is changed in a sound exFAT volume of 1 MiB: an offset of three
// bytes, a length of one, and so many bytes, again and again. An odd length: the sums of the boot
// region and of the set there are renewed, so that what lies behind them is met. Whatever comes of
// it: mounting, walking, reading, changing, checking and repairing end, and stay inside.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "blkimage/memory_disk.h"
#include "fs/exfat/exfat_boot.h"
#include "tests/support/fs/fat_exercise.h"
#include "tests/support/fs/fat_test_volume.h"

namespace {

using namespace splitring;

constexpr size_t kBytes = size_t{1} << 20;

std::vector<std::byte> sample() {
  test::FatTestVolume volume(kBytes, {.type = FatType::kExfat, .cluster_bytes = 512, .id = 1});
  volume.must_put("a", std::string(3000, 'a'));
  volume.must_put("a name of several slots, that is", "b");
  volume.must_put("a", std::string(9000, 'a'));
  if (!volume.mkdir("dir")) std::abort();
  for (int i = 0; i < 8; i++) volume.must_put("dir/f" + std::to_string(i), "x");
  volume.close();
  const std::string image = volume.image();
  const auto bytes = std::as_bytes(std::span(image));
  return {bytes.begin(), bytes.end()};
}

// Of the set whose file slot lies there.
void renew_set(std::vector<std::byte>& image, size_t slot) {
  const size_t count = std::to_integer<size_t>(image[slot + 1]) + 1;
  if (slot + count * 32 > image.size()) return;
  uint16_t sum = 0;
  for (size_t i = 0; i < count * 32; i++) {
    if (i == 2 || i == 3) continue;
    const auto byte = std::to_integer<uint8_t>(image[slot + i]);
    sum = exfat_sum_16(std::span(&byte, 1), sum);
  }
  const le16 stored = sum;
  std::memcpy(image.data() + slot + 2, &stored, sizeof stored);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::byte> sound = sample();
  std::vector<std::byte> image = sound;
  bool renews_boot = false;
  while (size > 4) {
    const size_t offset = (data[0] | data[1] << 8 | data[2] << 16) % image.size();
    const size_t length = std::min({size_t{data[3]}, size - 4, image.size() - offset});
    std::memcpy(image.data() + offset, data + 4, length);
    if (length % 2 == 1) {
      renews_boot = renews_boot || offset < 512;
      for (size_t back = 0; back < 19 && offset / 32 >= back; back++) {
        const size_t slot = (offset / 32 - back) * 32;
        if (image[slot] != std::byte{0x85}) continue;
        renew_set(image, slot);
        break;
      }
    }
    data += 4 + length;
    size -= 4 + length;
  }
  auto disk = std::move(*MemoryDisk::create(Sectors::from_bytes(image.size())));
  auto lane = std::move(*disk->open_queue({}));
  if (!lane->write({0}, image)) std::abort();
  if (renews_boot) {
    ExfatBootSector boot;
    std::memcpy(&boot, image.data(), sizeof boot);
    // Only of sectors that the regions of this volume have.
    if (boot.sector_shift == 9 && !write_exfat_boot(*lane, boot)) std::abort();
  }
  test::exercise_fat(*lane);
  return 0;
}
