// What lies on a FAT volume, byte for byte.
//
// Source: Microsoft, "FAT: General Overview of On-Disk Format", 1.03: boot sector p. 9-12, FSInfo
// p. 21, directory entries p. 23; long names p. 29. The bits of the byte `nt_bits` are Windows
// NT's, the volume's state byte is Windows' and Linux's (uapi/linux/msdos_fs.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace splitring {

// What a disk writes as a whole, whatever the volume calls a sector: 16 slots of a directory.
inline constexpr uint32_t kFatAtomBytes = 512;

inline constexpr uint16_t kFatBootMagic = 0xaa55;
inline constexpr uint8_t kFatExtendedSignature = 0x29;
inline constexpr uint8_t kFatStateDirty = 0x01;

// The end of a boot sector that FAT12 and FAT16 have at byte 36, FAT32 at byte 64.
struct FatBootTail {
  uint8_t drive = 0x80;
  uint8_t state = 0;
  uint8_t signature = kFatExtendedSignature;
  le32 id;
  std::array<char, 11> label{};
  std::array<char, 8> type_text{};
};
static_assert(sizeof(FatBootTail) == 26);

struct FatBootSector {
  std::array<uint8_t, 3> jump{0xeb, 0xfe, 0x90};
  std::array<char, 8> oem{};
  le16 sector_bytes;
  uint8_t cluster_sectors = 0;
  le16 reserved_sectors;
  uint8_t fat_count = 0;
  le16 root_entries;
  le16 total_sectors_16;
  uint8_t media = 0;
  le16 fat_sectors_16;
  le16 track_sectors;
  le16 heads;
  le32 hidden_sectors;
  le32 total_sectors_32;
  // FAT32 only, as far as the tail at byte 64.
  le32 fat_sectors_32;
  le16 extended_flags;
  le16 version;
  le32 root_cluster;
  le16 info_sector;
  le16 backup_sector;
  std::array<uint8_t, 12> reserved{};
  FatBootTail tail_32;
  std::array<uint8_t, 420> code{};
  le16 magic{kFatBootMagic};
};
static_assert(sizeof(FatBootSector) == 512 && alignof(FatBootSector) == 1);
static_assert(offsetof(FatBootSector, fat_sectors_32) == 36);
static_assert(offsetof(FatBootSector, tail_32) == 64);
static_assert(offsetof(FatBootSector, magic) == 510);
inline constexpr size_t kFatBootTail16 = 36;
inline constexpr size_t kFatBootTail32 = 64;

// extended_flags: bit 7: only the FAT of the number in the low four bits is kept up to date.
inline constexpr uint16_t kFatNotMirrored = 0x80;
inline constexpr uint16_t kFatActiveMask = 0x0f;

struct FatInfoSector {
  le32 lead{0x41615252};
  std::array<uint8_t, 480> reserved{};
  le32 magic{0x61417272};
  le32 free_clusters{0xffffffff};  // a hint
  le32 next_free{0xffffffff};      // a hint
  std::array<uint8_t, 12> reserved_2{};
  le32 trail{0xaa550000};
};
static_assert(sizeof(FatInfoSector) == 512 && alignof(FatInfoSector) == 1);

enum FatAttribute : uint8_t {
  kFatReadOnly = 0x01,
  kFatHidden = 0x02,
  kFatSystem = 0x04,
  kFatLabel = 0x08,
  kFatDirectory = 0x10,
  kFatArchive = 0x20,
  kFatLongName = 0x0f,
  kFatLongNameMask = 0x3f,
};

// A slot of a directory, as a file's, a directory's or the volume's own entry.
struct FatSlot {
  std::array<uint8_t, 11> name{};  // of the OEM code page, padded with spaces
  uint8_t attributes = 0;
  uint8_t nt_bits = 0;
  uint8_t created_10ms = 0;  // 0 to 199
  le16 created_time;
  le16 created_date;
  le16 accessed_date;
  le16 cluster_high;  // zero on FAT12 and FAT16
  le16 modified_time;
  le16 modified_date;
  le16 cluster_low;
  le32 size;

  [[nodiscard]] bool is_end() const { return name[0] == 0; }
  [[nodiscard]] bool is_free() const { return name[0] == 0 || name[0] == 0xe5; }
  [[nodiscard]] bool is_long() const { return (attributes & kFatLongNameMask) == kFatLongName; }
  [[nodiscard]] bool is_label() const { return !is_long() && (attributes & kFatLabel) != 0; }
  [[nodiscard]] bool is_directory() const { return (attributes & kFatDirectory) != 0; }
  [[nodiscard]] bool is_dots() const { return name[0] == '.'; }
};
static_assert(sizeof(FatSlot) == 32 && alignof(FatSlot) == 1);
static_assert(offsetof(FatSlot, size) == 28);
inline constexpr uint32_t kFatSlotsPerAtom = kFatAtomBytes / sizeof(FatSlot);

inline constexpr uint8_t kFatDeleted = 0xe5;
inline constexpr uint8_t kFatEscapedE5 = 0x05;  // stands for 0xe5 as the first byte of a name

// nt_bits. Of the unused ones two say where a rename over two sectors has come (FatVolume).
inline constexpr uint8_t kFatLowerBase = 0x08;
inline constexpr uint8_t kFatLowerExtension = 0x10;
inline constexpr uint8_t kFatRenamedFrom = 0x40;
inline constexpr uint8_t kFatRenamedTo = 0x80;

// A slot of a long name: 13 units of UTF-16, the last part of the name first.
struct FatLongSlot {
  uint8_t sequence = 0;  // 1 to 20; 0x40 on the first slot, which is the name's last part
  std::array<le16, 5> units_1{};
  uint8_t attributes = kFatLongName;
  uint8_t type = 0;
  uint8_t checksum = 0;  // of the short name
  std::array<le16, 6> units_2{};
  le16 cluster;  // zero
  std::array<le16, 2> units_3{};
};
static_assert(sizeof(FatLongSlot) == 32 && alignof(FatLongSlot) == 1);
inline constexpr uint32_t kFatUnitsPerSlot = 13;
inline constexpr uint8_t kFatLastLong = 0x40;
inline constexpr uint32_t kFatMaxNameUnits = 255;
inline constexpr uint32_t kFatMaxLongSlots = 20;

// A directory has at most 65,536 slots (p. 24 of the same; Windows and Linux keep to it).
inline constexpr uint32_t kFatMaxDirectoryBytes = 65536 * sizeof(FatSlot);

}  // namespace splitring
