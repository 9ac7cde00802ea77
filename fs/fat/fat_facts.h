// What a directory says of a file, besides its name: the same for every format of the family.
#pragma once

#include <cstdint>

#include "fs/fat/fat_layout.h"
#include "fs/fat/fat_time.h"

namespace splitring {

// How far a rename over two sectors has come (fat_volume_rename.cc).
enum class FatMark : uint8_t { kNone, kRenamedFrom, kRenamedTo };

struct FatFacts {
  uint8_t attributes = 0;  // FatAttribute
  FatMark mark = FatMark::kNone;
  // Its clusters follow one another, and no chain says so (exFAT's NoFatChain).
  bool contiguous = false;
  uint32_t first_cluster = 0;  // 0: none
  uint64_t size = 0;           // of a directory: as far as the format keeps it
  uint64_t valid = 0;          // what lies behind is zeroes, whatever the clusters hold (exFAT)
  FatStamp created = {};
  FatStamp modified = {};
  FatStamp accessed = {};

  [[nodiscard]] bool is_directory() const { return (attributes & kFatDirectory) != 0; }
  bool operator==(const FatFacts&) const = default;
};

}  // namespace splitring
