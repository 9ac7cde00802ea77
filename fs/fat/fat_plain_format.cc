#include "fs/fat/fat_plain_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <random>
#include <span>

#include "base/parse.h"
#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_io.h"
#include "fs/fat/fat_name.h"
#include "fs/fat/fat_time.h"

namespace splitring {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kLeastBytes = 160 * kKiB;
constexpr uint64_t kMostBytes = uint64_t{2} << 40;
constexpr uint32_t kReserved32 = 32;  // with FSInfo in sector 1 and the other boot sector in 6
constexpr uint32_t kBackupSector = 6;

// What drives expect of a disk of that size (ECMA-107 annex, and IBM's formats).
struct Floppy {
  uint32_t kib;
  uint8_t media;
  uint8_t cluster_sectors;
  uint16_t root_entries;
  uint16_t track_sectors;
  uint16_t heads;
};
constexpr std::array<Floppy, 8> kFloppies{{{160, 0xfe, 1, 64, 8, 1},
                                           {180, 0xfc, 1, 64, 9, 1},
                                           {320, 0xff, 2, 112, 8, 2},
                                           {360, 0xfd, 2, 112, 9, 2},
                                           {720, 0xf9, 2, 112, 9, 2},
                                           {1200, 0xf9, 1, 224, 15, 2},
                                           {1440, 0xf0, 1, 224, 18, 2},
                                           {2880, 0xf0, 2, 240, 36, 2}}};

// By the size of the disk: clusters as Windows makes them (fatgen103, p. 20 and 21).
uint32_t usual_cluster(FatType type, uint64_t bytes) {
  const auto fits = [&](uint64_t mib) { return bytes <= mib * kMiB; };
  if (type == FatType::kFat32) {
    if (fits(260)) return 512;
    return fits(8192) ? 4096 : fits(16384) ? 8192 : fits(32768) ? 16384 : 32768;
  }
  if (type == FatType::kFat12) return fits(2) ? 512 : fits(4) ? 1024 : fits(8) ? 2048 : 4096;
  return fits(16)     ? 1024
         : fits(128)  ? 2048
         : fits(256)  ? 4096
         : fits(512)  ? 8192
         : fits(1024) ? 16384
                      : 32768;
}

FatType usual_type(uint64_t bytes) {
  if (bytes < 4 * kMiB) return FatType::kFat12;
  return bytes < 512 * kMiB ? FatType::kFat16 : FatType::kFat32;
}

// Everything decided, in sectors of `sector_bytes`.
struct Plan {
  FatType type = FatType::kFat16;
  uint32_t sector_bytes = 512;
  uint32_t cluster_sectors = 1;
  uint32_t reserved = 1;
  uint32_t fat_count = 2;
  uint32_t fat_sectors = 1;
  uint32_t root_sectors = 0;
  uint64_t total = 0;
  uint64_t clusters = 0;
  uint8_t media = 0xf8;
  uint16_t track_sectors = 63;
  uint16_t heads = 255;

  [[nodiscard]] uint64_t data_begin() const {
    return reserved + uint64_t{fat_count} * fat_sectors + root_sectors;
  }
};

// The smallest FAT that has an entry for every cluster behind it. False: nothing fits.
bool lay_out(Plan& plan, uint32_t least_reserved, uint32_t align_sectors) {
  const uint64_t nibbles =
      plan.type == FatType::kFat12 ? 3 : (plan.type == FatType::kFat16 ? 4 : 8);
  for (plan.fat_sectors = 1;;) {
    plan.reserved = least_reserved;
    const uint64_t begin = round_up(plan.data_begin(), align_sectors);
    plan.reserved += static_cast<uint32_t>(begin - plan.data_begin());
    if (begin + plan.cluster_sectors > plan.total || plan.reserved > 0xffff) return false;
    plan.clusters = (plan.total - begin) / plan.cluster_sectors;
    const uint64_t needed =
        (((plan.clusters + 2) * nibbles + 1) / 2 + plan.sector_bytes - 1) / plan.sector_bytes;
    if (needed <= plan.fat_sectors) return true;
    if (needed > 0xffffffff) return false;
    plan.fat_sectors = static_cast<uint32_t>(needed);
  }
}

// Of a volume of the type.
uint64_t least_clusters(FatType type) {
  return type == FatType::kFat32 ? 65525 : type == FatType::kFat16 ? 4085 : 1;
}

bool type_matches(const Plan& plan) {
  if (plan.type != FatType::kFat32 && plan.fat_sectors > 0xffff) return false;
  return fat_type_of(plan.clusters) == plan.type && plan.clusters <= 0x0ffffff5 - 2;
}

Result<Plan> choose(const FatFormat& format, uint64_t bytes) {
  Plan plan;
  const uint32_t sector_bytes = format.sector_bytes;
  plan.sector_bytes = sector_bytes;
  plan.total = std::min<uint64_t>(bytes / sector_bytes, 0xffffffff);
  plan.fat_count = format.fat_count;
  plan.type = format.type.value_or(usual_type(bytes));
  uint32_t cluster =
      format.cluster_bytes.value_or(std::max(usual_cluster(plan.type, bytes), sector_bytes));
  uint32_t root_entries = plan.type == FatType::kFat32 ? 0 : 512;
  const auto* const floppy =
      std::ranges::find(kFloppies, bytes, [](auto& f) { return f.kib * kKiB; });
  const bool is_floppy =
      floppy != kFloppies.end() && plan.type == FatType::kFat12 && sector_bytes == 512;
  if (is_floppy) {
    if (!format.cluster_bytes) cluster = floppy->cluster_sectors * sector_bytes;
    root_entries = floppy->root_entries;
    plan.media = floppy->media;
    plan.track_sectors = floppy->track_sectors;
    plan.heads = floppy->heads;
  } else if (bytes <= 512 * kMiB) {
    plan.track_sectors = 32;
    plan.heads = 64;
  }
  if (format.root_entries != 0) root_entries = format.root_entries;
  plan.root_sectors = static_cast<uint32_t>(
      round_up(uint64_t{root_entries} * sizeof(FatSlot), sector_bytes) / sector_bytes);

  const auto attempt = [&](uint32_t cluster_bytes) {
    plan.cluster_sectors = cluster_bytes / sector_bytes;
    uint64_t align = format.align_bytes;
    if (align == 0)
      align = bytes < 4 * kMiB ? sector_bytes : std::min<uint64_t>(cluster_bytes, kMiB);
    const auto align_sectors = static_cast<uint32_t>(std::max<uint64_t>(align / sector_bytes, 1));
    return lay_out(plan, plan.type == FatType::kFat32 ? kReserved32 : 1, align_sectors) &&
           type_matches(plan);
  };
  if (attempt(cluster)) return plan;
  const auto wrong = [&] {
    return fail(Errc::kInvalid, format_bytes(bytes) + " in clusters of " +
                                    std::to_string(plan.cluster_sectors * sector_bytes) +
                                    " bytes are " + std::to_string(plan.clusters) +
                                    " clusters, not " + to_string(plan.type) +
                                    ": choose another type or cluster size");
  };
  if (format.cluster_bytes) return wrong();
  for (uint32_t other = sector_bytes; other <= 64 * kKiB && other / sector_bytes <= 128; other *= 2)
    if (attempt(other)) return plan;
  const bool is_small = !attempt(sector_bytes) && plan.clusters < least_clusters(plan.type);
  return fail(Errc::kInvalid, format_bytes(bytes) + " is too " + (is_small ? "small" : "large") +
                                  " for " + to_string(plan.type) + ": choose another type");
}

FatBootSector boot_sector(const Plan& plan, const FatFormat& format, const FatShortName& label) {
  constexpr std::array<uint8_t, 3> kHaltForever{0xf4, 0xeb, 0xfd};
  FatBootSector boot;
  const bool fat32 = plan.type == FatType::kFat32;
  boot.jump = {0xeb, static_cast<uint8_t>(fat32 ? 0x58 : 0x3c), 0x90};
  std::memcpy(boot.oem.data(), "SPLTRING", boot.oem.size());
  boot.sector_bytes = static_cast<uint16_t>(plan.sector_bytes);
  boot.cluster_sectors = static_cast<uint8_t>(plan.cluster_sectors);
  boot.reserved_sectors = static_cast<uint16_t>(plan.reserved);
  boot.fat_count = static_cast<uint8_t>(plan.fat_count);
  boot.root_entries =
      static_cast<uint16_t>(plan.root_sectors * plan.sector_bytes / sizeof(FatSlot));
  if (plan.total <= 0xffff && !fat32)
    boot.total_sectors_16 = static_cast<uint16_t>(plan.total);
  else
    boot.total_sectors_32 = static_cast<uint32_t>(plan.total);
  boot.media = plan.media;
  boot.track_sectors = plan.track_sectors;
  boot.heads = plan.heads;
  boot.hidden_sectors = static_cast<uint32_t>(format.partition_offset);
  FatBootTail tail;
  tail.drive = plan.media == 0xf8 ? 0x80 : 0x00;
  tail.id = format.id.value_or(std::random_device{}());
  if (format.label.empty())
    std::memcpy(tail.label.data(), "NO NAME    ", tail.label.size());
  else
    std::ranges::copy(label, tail.label.begin());
  std::memcpy(tail.type_text.data(),
              fat32 ? "FAT32   " : (plan.type == FatType::kFat16 ? "FAT16   " : "FAT12   "), 8);
  auto* const raw = reinterpret_cast<std::byte*>(&boot);
  if (fat32) {
    boot.fat_sectors_32 = plan.fat_sectors;
    boot.root_cluster = 2;
    boot.info_sector = 1;
    boot.backup_sector = kBackupSector;
  } else {
    boot.fat_sectors_16 = static_cast<uint16_t>(plan.fat_sectors);
    boot.tail_32 = std::bit_cast<FatBootTail>(std::array<std::byte, sizeof(FatBootTail)>{});
  }
  const size_t at = fat32 ? kFatBootTail32 : kFatBootTail16;
  std::memcpy(raw + at, &tail, sizeof tail);
  std::memcpy(raw + at + sizeof tail, kHaltForever.data(), kHaltForever.size());
  return boot;
}

Result<> write_fats(BlockQueue& lane, const Plan& plan) {
  std::array<uint8_t, kFatAtomBytes> first{};
  const auto put = [&](std::initializer_list<uint8_t> bytes) {
    std::ranges::copy(bytes, first.begin());
  };
  if (plan.type == FatType::kFat12) put({plan.media, 0xff, 0xff});
  if (plan.type == FatType::kFat16) put({plan.media, 0xff, 0xff, 0xff});
  if (plan.type == FatType::kFat32)
    put({plan.media, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f});
  for (uint32_t copy = 0; copy < plan.fat_count; copy++)
    TRY_VOID(write_disk_bytes(
        lane, (plan.reserved + uint64_t{copy} * plan.fat_sectors) * plan.sector_bytes,
        std::as_bytes(std::span(first))));
  return {};
}

Result<> write_label(BlockQueue& lane, const Plan& plan, const FatFormat& format,
                     const FatShortName& label) {
  if (format.label.empty()) return {};
  const FatStamp now = fat_stamp(fat_now(), format.utc);
  std::array<FatSlot, kFatSlotsPerAtom> root{};
  root[0].name = label;
  root[0].attributes = kFatLabel;
  root[0].modified_date = now.date;
  root[0].modified_time = now.time;
  const uint64_t root_begin = plan.data_begin() - plan.root_sectors;
  return write_disk_bytes(lane, root_begin * plan.sector_bytes, std::as_bytes(std::span(root)));
}

Result<> check(const FatFormat& format, uint64_t bytes) {
  const auto invalid = [](const std::string& what) { return fail(Errc::kInvalid, what); };
  if (bytes < kLeastBytes || bytes > kMostBytes)
    return invalid("a FAT volume has 160 KiB to 2 TiB, not " + format_bytes(bytes));
  if (format.cluster_bytes &&
      (!is_power_of_two(*format.cluster_bytes) || *format.cluster_bytes < format.sector_bytes ||
       *format.cluster_bytes > 64 * kKiB || *format.cluster_bytes / format.sector_bytes > 128))
    return invalid("clusters have a power of two of bytes, from one sector to 128 and to 64 KiB");
  if (format.fat_count < 1 || format.fat_count > 2) return invalid("there are 1 or 2 FATs");
  if (format.partition_offset > 0xffffffff) return invalid("the partition starts too far behind");
  if (format.root_entries > 65535 || (format.root_entries != 0 && format.type == FatType::kFat32))
    return invalid("a root of fixed size has at most 65,535 entries, and FAT32 has none");
  return {};
}

}  // namespace

Result<> format_plain_fat(BlockQueue& lane, const FatFormat& format) {
  const uint64_t bytes = lane.geometry().capacity.bytes();
  const uint32_t sector_bytes = format.sector_bytes;
  TRY_VOID(check(format, bytes));
  const FatShortName label = TRY(fat_label(format.label));
  const Plan plan = TRY(choose(format, bytes));
  // Until all else is durable there is no boot sector.
  TRY_VOID(zero_disk_bytes(lane, 0, sector_bytes));
  TRY_VOID(lane.flush());
  const uint64_t root_cluster =
      plan.type == FatType::kFat32 ? uint64_t{plan.cluster_sectors} * sector_bytes : 0;
  TRY_VOID(zero_disk_bytes(lane, 0, plan.data_begin() * sector_bytes + root_cluster));
  TRY_VOID(write_fats(lane, plan));
  TRY_VOID(write_label(lane, plan, format, label));
  const FatBootSector boot = boot_sector(plan, format, label);
  const auto boot_bytes = std::as_bytes(std::span(&boot, 1));
  if (plan.type == FatType::kFat32) {
    FatInfoSector info;
    info.free_clusters = static_cast<uint32_t>(plan.clusters - 1);
    info.next_free = 3;
    const auto info_bytes = std::as_bytes(std::span(&info, 1));
    TRY_VOID(write_disk_bytes(lane, sector_bytes, info_bytes));
    TRY_VOID(write_disk_bytes(lane, uint64_t{kBackupSector + 1} * sector_bytes, info_bytes));
    TRY_VOID(write_disk_bytes(lane, uint64_t{kBackupSector} * sector_bytes, boot_bytes));
  }
  TRY_VOID(lane.flush());
  TRY_VOID(write_disk_bytes(lane, 0, boot_bytes));
  return lane.flush();
}

}  // namespace splitring
