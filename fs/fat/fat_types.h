// What the FAT room says about files, names and volumes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace splitring {

enum class FatType : uint8_t { kFat12, kFat16, kFat32, kExfat };
const char* to_string(FatType type);

// A file or directory of a mounted volume: an inode number. It stays what it is across renames, and
// as long as somebody refers to it; the same file usually gets the same number again later.
enum class FatNode : uint64_t {};
inline constexpr FatNode kFatRoot{1};  // always there, needs no reference

// Since 1970 in UTC. FAT keeps creation to 10 ms, change to 2 s, access to a day, from 1980 to
// 2107: what is set is rounded down and clamped to that.
struct FatTime {
  int64_t s = 0;
  uint32_t ns = 0;
  bool operator==(const FatTime&) const = default;
};

// The bits that a person may set (of the attribute byte of a directory entry).
struct FatFlags {
  bool read_only = false;
  bool hidden = false;
  bool system = false;
  bool archive = false;
  bool operator==(const FatFlags&) const = default;
};

struct FatStat {
  FatNode node{};
  bool is_directory = false;
  FatFlags flags;
  uint64_t size = 0;             // of a directory: the bytes of its clusters
  uint64_t allocated_bytes = 0;  // whole clusters, and what is preallocated
  FatTime modified;
  FatTime created;   // 1970 if the entry has none
  FatTime accessed;  // the same
};

// What to change; the rest stays.
struct FatChange {
  std::optional<FatFlags> flags = {};
  std::optional<FatTime> modified = {};
  std::optional<FatTime> created = {};
  std::optional<FatTime> accessed = {};
};

struct FatEntry {
  std::string name;        // UTF-8, as it was written
  std::string short_name;  // "NAME~1.TXT"; equal to `name` in capitals if that is all there is
  FatStat stat;            // stat.node is 0 unless references were asked for
  uint64_t cookie = 0;     // where to go on behind this entry
};

struct FatSpace {
  uint32_t cluster_bytes = 0;
  uint64_t clusters = 0;       // in all
  uint64_t free_clusters = 0;  // to be written at once or after the next sync
};

struct FatVolumeInfo {
  FatType type = FatType::kFat16;
  std::string label = {};  // UTF-8; empty: none
  uint32_t id = 0;         // "1234-ABCD"
  uint32_t sector_bytes = 0;
  uint32_t fat_count = 0;
  uint64_t total_bytes = 0;
  FatSpace space = {};
  bool was_dirty = false;  // it was not unmounted last time, and has been put in order, or is being
};

}  // namespace splitring
