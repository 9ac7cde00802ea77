#include "tests/support/fs/fat_exercise.h"

#include <array>
#include <cstdlib>
#include <vector>

#include "fs/fat/fat_check.h"
#include "fs/fat/fat_volume.h"

namespace splitring::test {
namespace {

constexpr size_t kMostNodes = 200;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_file(FatVolume& volume, BlockQueue& lane, FatNode node, uint64_t size) {
  if (!volume.open_file(lane, node)) return;
  std::array<std::byte, 700> out;
  for (const uint64_t offset : {uint64_t{0}, size / 2, size}) {
    const auto got = volume.read(lane, node, offset, out);
    require(!got || *got <= out.size());
  }
  require(volume.close_file(lane, node).has_value());
}

void walk(FatVolume& volume, BlockQueue& lane) {
  std::vector<FatNode> todo{kFatRoot};
  for (size_t i = 0; i < todo.size() && i < kMostNodes; i++) {
    const auto entries = volume.list(lane, todo[i], 0, kMostNodes);
    if (!entries) continue;
    for (const FatEntry& entry : *entries) {
      require(!entry.name.empty() && entry.name.find('/') == std::string::npos);
      const auto found = volume.lookup(lane, todo[i], entry.name);
      if (!found) continue;
      if (found->is_directory)
        todo.push_back(found->node);
      else
        read_file(volume, lane, found->node, found->size);
    }
  }
}

void change(FatVolume& volume, BlockQueue& lane) {
  const auto made = volume.create(lane, kFatRoot, "a new file with a long name");
  if (made && volume.open_file(lane, made->node)) {
    const std::array<std::byte, 3000> bytes{};
    const auto wrote = volume.write(lane, made->node, 100, bytes);
    static_cast<void>(wrote);
    require(volume.close_file(lane, made->node).has_value());
  }
  const auto entries = volume.list(lane, kFatRoot, 0, 8);
  if (!entries) return;
  for (const FatEntry& entry : *entries) {
    const auto moved = volume.rename(lane, kFatRoot, entry.name, kFatRoot, entry.name + " moved");
    if (!moved && !volume.remove_file(lane, kFatRoot, entry.name)) {
      const auto gone = volume.remove_directory(lane, kFatRoot, entry.name);
      static_cast<void>(gone);
    }
  }
  static_cast<void>(volume.make_directory(lane, kFatRoot, "DIR2"));
  static_cast<void>(volume.sync(lane));
}

}  // namespace

void exercise_fat(BlockQueue& lane) {
  if (!check_fat(lane, FatRepair::kNothing)) return;
  if (auto volume = FatVolume::open(lane, {.utc = true})) {
    walk(**volume, lane);
    change(**volume, lane);
    static_cast<void>((*volume)->close(lane));
  }
  static_cast<void>(check_fat(lane, FatRepair::kAll));
}

}  // namespace splitring::test
