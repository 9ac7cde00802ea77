#include "fs/exfat/exfat_boot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "fs/disk_bytes.h"
#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr uint32_t kLeastSectorShift = 9;
constexpr uint32_t kMostSectorShift = 12;
constexpr uint32_t kMostClusterShift = 25;  // of a cluster's bytes: 32 MiB

tl::unexpected<Error> no_volume(const std::string& why) {
  return fail(Errc::kInvalid, "no exFAT volume: " + why);
}

bool has_name(const ExfatBootSector& boot) { return boot.name == ExfatBootSector{}.name; }

Result<ExfatBootSector> read_sector(BlockQueue& lane, uint64_t offset) {
  ExfatBootSector boot;
  TRY_VOID(read_disk_bytes(lane, offset, std::as_writable_bytes(std::span(&boot, 1))));
  return boot;
}

std::span<const uint8_t> numbers(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

// Of a whole region's first eleven sectors. The bytes that change while it is mounted do not count.
uint32_t region_checksum(std::span<const std::byte> region) {
  constexpr size_t kFlags = offsetof(ExfatBootSector, volume_flags);
  constexpr size_t kPercent = offsetof(ExfatBootSector, percent_in_use);
  const auto bytes = numbers(region);
  uint32_t sum = exfat_sum_32(bytes.first(kFlags), 0);
  sum = exfat_sum_32(bytes.subspan(kFlags + 2, kPercent - kFlags - 2), sum);
  return exfat_sum_32(bytes.subspan(kPercent + 1), sum);
}

// Nothing: the region is not sound.
Result<std::optional<ExfatBoot>> read_region(BlockQueue& lane, uint64_t offset) {
  const uint64_t disk_bytes = lane.geometry().capacity.bytes();
  std::optional<ExfatBoot> nothing;
  if (!in_range(offset, sizeof(ExfatBootSector), disk_bytes)) return nothing;
  const ExfatBootSector boot = TRY(read_sector(lane, offset));
  const ExfatGeometry geometry = TRY(parse_exfat_boot_sector(boot, disk_bytes));
  std::vector<std::byte> region(size_t{kExfatRegionSectors} * geometry.sector_bytes);
  TRY_VOID(read_disk_bytes(lane, offset, region));
  const size_t checked = size_t{kExfatCheckedSectors} * geometry.sector_bytes;
  const le32 sum = region_checksum(std::span(region).first(checked));
  if (std::memcmp(region.data() + checked, &sum, sizeof sum) != 0)
    return no_volume("the checksum of its boot sectors is wrong");
  return std::optional(ExfatBoot{.geometry = geometry, .sector = boot});
}

// The second region lies where the sectors' size says, which the first may not know any more.
Result<std::optional<ExfatBoot>> read_second_region(BlockQueue& lane) {
  for (uint32_t shift = kLeastSectorShift; shift <= kMostSectorShift; shift++) {
    auto found = read_region(lane, uint64_t{kExfatRegionSectors} << shift);
    if (found && *found && (*found)->geometry.sector_bytes == 1U << shift) return found;
  }
  return std::optional<ExfatBoot>{};
}

}  // namespace

Result<bool> is_exfat(BlockQueue& lane) {
  const uint64_t disk_bytes = lane.geometry().capacity.bytes();
  if (disk_bytes < sizeof(ExfatBootSector)) return false;
  const ExfatBootSector first = TRY(read_sector(lane, 0));
  if (has_name(first)) return true;
  // A sound boot sector of another kind is not to be doubted.
  if (parse_fat_boot_sector(std::bit_cast<FatBootSector>(first), disk_bytes)) return false;
  return TRY(read_second_region(lane)).has_value();
}

Result<ExfatGeometry> parse_exfat_boot_sector(const ExfatBootSector& boot, uint64_t disk_bytes) {
  if (!has_name(boot)) return no_volume("its name is missing");
  if (boot.magic != kFatBootMagic) return no_volume("the boot sector has no mark at its end");
  if (boot.revision >> 8 != 1)
    return fail(Errc::kUnsupported, "exFAT of version " + std::to_string(boot.revision >> 8));
  if (boot.fat_count == 2)
    return fail(Errc::kUnsupported, "TexFAT (an exFAT volume with two FATs)");
  if (boot.fat_count != 1) return no_volume(std::to_string(boot.fat_count) + " FATs");
  if (boot.sector_shift < kLeastSectorShift || boot.sector_shift > kMostSectorShift)
    return no_volume("sectors of 2^" + std::to_string(boot.sector_shift) + " bytes");
  if (boot.cluster_shift > kMostClusterShift - boot.sector_shift)
    return no_volume("clusters of 2^" + std::to_string(boot.cluster_shift) + " sectors");
  if (std::ranges::any_of(boot.zero, [](uint8_t byte) { return byte != 0; }))
    return no_volume("what must be zero is not");
  ExfatGeometry geometry;
  const uint32_t shift = boot.sector_shift;
  geometry.sector_bytes = 1U << shift;
  geometry.cluster_bytes = geometry.sector_bytes << boot.cluster_shift;
  geometry.clusters = boot.cluster_count;
  geometry.root_cluster = boot.root_cluster;
  geometry.serial = boot.serial;
  if (boot.volume_length > disk_bytes >> shift)
    return no_volume("it says that it has " + std::to_string(boot.volume_length) + " sectors of " +
                     std::to_string(geometry.sector_bytes) + " bytes, the disk has " +
                     std::to_string(disk_bytes) + " bytes");
  geometry.total_bytes = boot.volume_length << shift;
  geometry.fat_offset = uint64_t{boot.fat_offset} << shift;
  geometry.data_offset = uint64_t{boot.heap_offset} << shift;
  const uint64_t fat_bytes = uint64_t{boot.fat_length} << shift;
  if (geometry.clusters == 0 || geometry.clusters > kExfatMostClusters)
    return no_volume(std::to_string(geometry.clusters) + " clusters");
  if (boot.fat_offset < 2 * kExfatRegionSectors ||
      !in_range(geometry.fat_offset, fat_bytes, geometry.data_offset) ||
      (uint64_t{geometry.clusters} + 2) * sizeof(uint32_t) > fat_bytes)
    return no_volume("a FAT where none can be");
  if (geometry.data_offset > geometry.total_bytes ||
      geometry.clusters > (geometry.total_bytes - geometry.data_offset) / geometry.cluster_bytes)
    return no_volume("more clusters than there is room for");
  if (!geometry.is_cluster(geometry.root_cluster))
    return no_volume("a root at cluster " + std::to_string(geometry.root_cluster));
  return geometry;
}

Result<ExfatBoot> read_exfat_boot(BlockQueue& lane) {
  const auto first = read_region(lane, 0);
  if (!first && first.error().code == Errc::kUnsupported) return tl::make_unexpected(first.error());
  if (first && *first) {
    ExfatBoot boot = **first;
    const auto second = TRY(read_second_region(lane));
    boot.copies_agree = second && second->sector.serial == boot.sector.serial &&
                        second->sector.cluster_count == boot.sector.cluster_count &&
                        second->sector.root_cluster == boot.sector.root_cluster &&
                        second->sector.heap_offset == boot.sector.heap_offset;
    return boot;
  }
  auto second = TRY(read_second_region(lane));
  if (!second)
    return first ? no_volume("the disk is too small") : tl::make_unexpected(first.error());
  second->main_is_sound = false;
  second->copies_agree = false;
  // Which is not kept up to date there.
  second->sector.volume_flags = second->sector.volume_flags | kExfatDirty;
  return *second;
}

Result<> write_exfat_boot(BlockQueue& lane, const ExfatBootSector& boot) {
  const size_t sector_bytes = size_t{1} << boot.sector_shift;
  std::vector<std::byte> region(kExfatRegionSectors * sector_bytes);
  std::memcpy(region.data(), &boot, sizeof boot);
  const le32 code_magic = kExfatCodeMagic;
  for (size_t sector = 1; sector <= kExfatCodeSectors; sector++)
    std::memcpy(region.data() + (sector + 1) * sector_bytes - sizeof code_magic, &code_magic,
                sizeof code_magic);
  const size_t checked = kExfatCheckedSectors * sector_bytes;
  const le32 sum = region_checksum(std::span(region).first(checked));
  for (size_t at = checked; at < region.size(); at += sizeof sum)
    std::memcpy(region.data() + at, &sum, sizeof sum);
  TRY_VOID(write_disk_bytes(lane, region.size(), region));
  TRY_VOID(lane.flush());
  TRY_VOID(write_disk_bytes(lane, 0, region));
  return lane.flush();
}

Result<> write_exfat_state(BlockQueue& lane, bool dirty, uint8_t percent_in_use) {
  ExfatBootSector boot = TRY(read_sector(lane, 0));
  const uint32_t flags = boot.volume_flags;
  boot.volume_flags = static_cast<uint16_t>(dirty ? flags | kExfatDirty : flags & ~kExfatDirty);
  boot.percent_in_use = percent_in_use;
  TRY_VOID(write_disk_bytes(lane, 0, std::as_bytes(std::span(&boot, 1))));
  return lane.flush();
}

}  // namespace splitring
