// Reads a whole volume and says what is wrong with it; puts right what it is asked to.
//
// What a power cut leaves behind a volume of ours (fs/fat/fat_volume.h) is "remains": clusters that
// nobody owns or that lie behind a file's end, slots of a name without its entry or behind a
// directory's end, a rename half done, a `..` that was not told, copies of the FAT and counts of
// free clusters that are behind. Putting those right loses nothing, and mounting does it. All else
// is damage: it is put right by giving up as little as possible, and only on demand.
//
// Bounded by the number of clusters and slots, whatever the volume says. One thread; the volume is
// not mounted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

enum class FatRepair : uint8_t {
  kNothing,  // only look
  kRemains,  // and if there is no damage, free the clusters that nobody owns
  kAll,
};

struct FatFinding {
  bool is_damage = false;
  bool repaired = false;
  std::string what;
};

struct FatReport {
  std::vector<FatFinding> findings;  // the first thousand
  uint64_t remains = 0;
  uint64_t damage = 0;
  uint64_t unrepaired = 0;  // of both
  uint64_t files = 0;
  uint64_t directories = 0;  // with the root
  uint64_t used_clusters = 0;
  uint64_t clusters = 0;
  uint64_t lost_clusters = 0;
  bool was_dirty = false;
};

// After a repair without damage left the volume is marked as clean. Errors: kInvalid, kUnsupported:
// no such volume, as FatVolume::open() says; kIo: the disk's; kPermission: a repair of a read-only
// disk.
Result<FatReport> check_fat(BlockQueue& lane, FatRepair repair);

}  // namespace splitring
