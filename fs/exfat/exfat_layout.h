// What lies on an exFAT volume, byte for byte.
//
// Source: Microsoft, "exFAT file system specification", revision 1.00 (2019): boot region, chapter
// 3; FAT, 4; directory, 6 and 7.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/endian.h"
#include "fs/fat/fat_layout.h"

namespace splitring {

// A boot region: this sector, 8 of boot code, one of parameters, one reserved, one of checksums. A
// second one follows the first.
inline constexpr uint32_t kExfatCheckedSectors = 11;
inline constexpr uint32_t kExfatRegionSectors = 12;
inline constexpr uint32_t kExfatCodeSectors = 8;
inline constexpr uint32_t kExfatCodeMagic = 0xaa550000;  // the last four bytes of each

inline constexpr uint16_t kExfatSecondFat = 0x01;  // of volume_flags: TexFAT
inline constexpr uint16_t kExfatDirty = 0x02;
inline constexpr uint8_t kExfatPercentUnknown = 0xff;

struct ExfatBootSector {
  std::array<uint8_t, 3> jump{0xeb, 0x76, 0x90};
  std::array<char, 8> name{'E', 'X', 'F', 'A', 'T', ' ', ' ', ' '};
  std::array<uint8_t, 53> zero{};
  le64 partition_offset;  // in sectors, like all that follows
  le64 volume_length;
  le32 fat_offset;
  le32 fat_length;
  le32 heap_offset;
  le32 cluster_count;
  le32 root_cluster;
  le32 serial;
  le16 revision{0x0100};
  le16 volume_flags;         // in no checksum
  uint8_t sector_shift = 9;  // 9 to 12
  uint8_t cluster_shift = 0;
  uint8_t fat_count = 1;
  uint8_t drive = 0x80;
  uint8_t percent_in_use = 0;  // in no checksum
  std::array<uint8_t, 7> reserved{};
  std::array<uint8_t, 390> code{};
  le16 magic{kFatBootMagic};
};
static_assert(sizeof(ExfatBootSector) == 512 && alignof(ExfatBootSector) == 1);
static_assert(offsetof(ExfatBootSector, partition_offset) == 64);
static_assert(offsetof(ExfatBootSector, volume_flags) == 106);
static_assert(offsetof(ExfatBootSector, percent_in_use) == 112);
static_assert(offsetof(ExfatBootSector, magic) == 510);

// What an entry of the FAT says.
inline constexpr uint32_t kExfatBad = 0xfffffff7;
inline constexpr uint32_t kExfatEnd = 0xffffffff;
inline constexpr uint32_t kExfatMostClusters = 0xfffffff5;

// A slot's first byte. Without the top bit the slot is free; 0 ends the directory.
inline constexpr uint8_t kExfatInUse = 0x80;
inline constexpr uint8_t kExfatSecondary = 0x40;
inline constexpr uint8_t kExfatBenign = 0x20;
inline constexpr uint8_t kExfatBitmap = 0x81;
inline constexpr uint8_t kExfatUpcase = 0x82;
inline constexpr uint8_t kExfatLabel = 0x83;
inline constexpr uint8_t kExfatFile = 0x85;
inline constexpr uint8_t kExfatStream = 0xc0;
inline constexpr uint8_t kExfatName = 0xc1;

// kExfatBitmap and kExfatUpcase.
struct ExfatTableSlot {
  uint8_t type = 0;
  std::array<uint8_t, 3> flags{};  // the first of a bitmap: bit 0: the second one (TexFAT)
  le32 checksum;                   // of the up-case table
  std::array<uint8_t, 12> reserved{};
  le32 first_cluster;
  le64 bytes;
};
static_assert(sizeof(ExfatTableSlot) == 32 && offsetof(ExfatTableSlot, first_cluster) == 20);

struct ExfatLabelSlot {
  uint8_t type = kExfatLabel;
  uint8_t units = 0;
  std::array<le16, 11> label{};
  std::array<uint8_t, 8> reserved{};
};
static_assert(sizeof(ExfatLabelSlot) == 32);

struct ExfatFileSlot {
  uint8_t type = kExfatFile;
  uint8_t secondary_count = 0;
  le16 checksum;  // of the set, but for these two bytes
  le16 attributes;
  le16 reserved_1;
  le16 created_time;
  le16 created_date;
  le16 modified_time;
  le16 modified_date;
  le16 accessed_time;
  le16 accessed_date;
  uint8_t created_10ms = 0;
  uint8_t modified_10ms = 0;
  uint8_t created_zone = 0;  // FatStamp::zone
  uint8_t modified_zone = 0;
  uint8_t accessed_zone = 0;
  std::array<uint8_t, 6> reserved_2{};
  uint8_t mark = 0;  // reserved; how far a rename has come (FatMark)
};
static_assert(sizeof(ExfatFileSlot) == 32 && offsetof(ExfatFileSlot, created_10ms) == 20);

inline constexpr uint8_t kExfatAllocationPossible = 0x01;
inline constexpr uint8_t kExfatNoFatChain = 0x02;

struct ExfatStreamSlot {
  uint8_t type = kExfatStream;
  uint8_t flags = kExfatAllocationPossible;
  uint8_t reserved_1 = 0;
  uint8_t name_units = 0;
  le16 name_hash;
  le16 reserved_2;
  le64 valid_bytes;
  le32 reserved_3;
  le32 first_cluster;
  le64 bytes;
};
static_assert(sizeof(ExfatStreamSlot) == 32 && offsetof(ExfatStreamSlot, first_cluster) == 20);

inline constexpr uint32_t kExfatUnitsPerSlot = 15;
struct ExfatNameSlot {
  uint8_t type = kExfatName;
  uint8_t flags = 0;
  std::array<le16, kExfatUnitsPerSlot> units{};
};
static_assert(sizeof(ExfatNameSlot) == 32 && alignof(ExfatNameSlot) == 1);
inline constexpr uint32_t kExfatLeastSecondaries = 2;
inline constexpr uint32_t kExfatMostSecondaries = 18;

inline constexpr uint32_t kExfatMaxDirectoryBytes = 256U << 20;
inline constexpr uint32_t kExfatMaxClusterBytes = 32U << 20;

// The sums of the specification: each byte after a turn to the right. Go on with what it returned.
[[nodiscard]] constexpr uint32_t exfat_sum_32(std::span<const uint8_t> bytes, uint32_t sum) {
  for (const uint8_t byte : bytes) sum = (sum << 31 | sum >> 1) + byte;
  return sum;
}
[[nodiscard]] constexpr uint16_t exfat_sum_16(std::span<const uint8_t> bytes, uint16_t sum) {
  for (const uint8_t byte : bytes) {
    const uint32_t wide = sum;  // an int would overflow
    sum = static_cast<uint16_t>((wide << 15 | wide >> 1) + byte);
  }
  return sum;
}

}  // namespace splitring
