#include "fs/fat/fat_geometry.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/units.h"

namespace splitring {
namespace {

constexpr uint32_t kLargestCluster = 64U << 10;  // by Windows; the specification says 32 KiB

tl::unexpected<Error> no_volume(const std::string& why) {
  return fail(Errc::kInvalid, "no FAT volume: " + why);
}

Result<> check_units(const FatBootSector& boot) {
  const uint32_t sector = boot.sector_bytes;
  if (!is_power_of_two(sector) || sector < 512 || sector > 4096)
    return no_volume("sectors of " + std::to_string(sector) + " bytes");
  if (!is_power_of_two(boot.cluster_sectors) ||
      uint32_t{boot.cluster_sectors} * sector > kLargestCluster)
    return no_volume("clusters of " + std::to_string(boot.cluster_sectors) + " sectors");
  if (boot.fat_count == 0 || boot.fat_count > 4)
    return no_volume(std::to_string(boot.fat_count) + " FATs");
  if (boot.reserved_sectors == 0) return no_volume("no reserved sectors");
  if (boot.root_entries * sizeof(FatSlot) % sector != 0)
    return no_volume("a root of " + std::to_string(boot.root_entries) + " entries");
  return {};
}

// An entry's size in half bytes.
uint64_t entry_nibbles(FatType type) {
  return type == FatType::kFat12 ? 3 : (type == FatType::kFat16 ? 4 : 8);
}

Result<> add_fat32(const FatBootSector& boot, FatGeometry& geometry) {
  if (boot.version != 0)
    return fail(Errc::kUnsupported, "FAT32 of version " + std::to_string(boot.version));
  geometry.root_cluster = boot.root_cluster;
  if (!geometry.is_cluster(geometry.root_cluster))
    return no_volume("a root at cluster " + std::to_string(geometry.root_cluster));
  if ((boot.extended_flags & kFatNotMirrored) != 0) {
    geometry.mirrored = false;
    geometry.active_fat = boot.extended_flags & kFatActiveMask;
    if (geometry.active_fat >= geometry.fat_count) return no_volume("an active FAT that is not");
  }
  const auto reserved_at = [&](uint32_t sector) -> uint64_t {
    return sector != 0 && sector < boot.reserved_sectors ? uint64_t{sector} * geometry.sector_bytes
                                                         : 0;
  };
  geometry.info_offset = reserved_at(boot.info_sector);
  geometry.backup_offset = reserved_at(boot.backup_sector);
  return {};
}

}  // namespace

const char* to_string(FatType type) {
  switch (type) {
    case FatType::kFat12: return "FAT12";
    case FatType::kFat16: return "FAT16";
    case FatType::kFat32: return "FAT32";
    case FatType::kExfat: return "exFAT";
  }
  return "FAT";
}

Result<FatGeometry> parse_fat_boot_sector(const FatBootSector& boot, uint64_t disk_bytes) {
  if (std::memcmp(boot.oem.data(), "EXFAT   ", 8) == 0)
    return fail(Errc::kUnsupported, "this is an exFAT volume; FAT12, FAT16 and FAT32 are known");
  if (boot.magic != kFatBootMagic) return no_volume("the boot sector has no mark at its end");
  TRY_VOID(check_units(boot));
  FatGeometry geometry;
  const uint64_t sector = geometry.sector_bytes = boot.sector_bytes;
  geometry.cluster_bytes = boot.cluster_sectors * geometry.sector_bytes;
  geometry.fat_count = boot.fat_count;
  geometry.media = boot.media;
  const uint64_t fat_sectors =
      boot.fat_sectors_16 != 0 ? uint64_t{boot.fat_sectors_16} : uint64_t{boot.fat_sectors_32};
  const uint64_t total_sectors = boot.total_sectors_16 != 0 ? uint64_t{boot.total_sectors_16}
                                                            : uint64_t{boot.total_sectors_32};
  if (fat_sectors == 0) return no_volume("FATs of no sectors");
  geometry.total_bytes = total_sectors * sector;
  if (geometry.total_bytes > disk_bytes)
    return no_volume("it says that it has " + std::to_string(geometry.total_bytes) +
                     " bytes, the disk has " + std::to_string(disk_bytes));
  geometry.fat_offset = boot.reserved_sectors * sector;
  geometry.fat_bytes = fat_sectors * sector;
  geometry.root_offset = geometry.fat_offset + geometry.fat_count * geometry.fat_bytes;
  geometry.root_bytes = uint64_t{boot.root_entries} * sizeof(FatSlot);
  geometry.data_offset = geometry.root_offset + geometry.root_bytes;
  if (geometry.data_offset >= geometry.total_bytes) return no_volume("no room for data");
  const uint64_t clusters = (geometry.total_bytes - geometry.data_offset) / geometry.cluster_bytes;
  // FAT32 says its FAT's size where the others say nothing else: Windows and Linux go by that too
  // where the count of clusters is a small FAT32's.
  geometry.type = boot.fat_sectors_16 == 0 ? FatType::kFat32 : fat_type_of(clusters);
  if (geometry.type == FatType::kFat32 && boot.fat_sectors_16 != 0)
    return no_volume("more clusters than FAT16 has");
  if (geometry.type != FatType::kFat32 && geometry.root_bytes == 0)
    return no_volume("no root directory");
  const uint64_t entries = geometry.fat_bytes * 2 / entry_nibbles(geometry.type);
  const uint64_t usable = std::min<uint64_t>(clusters, entries < 2 ? 0 : entries - 2);
  if (usable == 0 || usable > 0x0ffffff5 - 2) return no_volume("an absurd number of clusters");
  geometry.clusters = static_cast<uint32_t>(usable);
  geometry.fat_used_bytes =
      round_up(((usable + 2) * entry_nibbles(geometry.type) + 1) / 2, kFatAtomBytes);
  if (geometry.type == FatType::kFat32) TRY_VOID(add_fat32(boot, geometry));
  return geometry;
}

}  // namespace splitring
