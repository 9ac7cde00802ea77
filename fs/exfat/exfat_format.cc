#include "fs/exfat/exfat_format.h"

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

#include "base/parse.h"
#include "fs/exfat/exfat_boot.h"
#include "fs/exfat/exfat_directory.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kLeastBytes = kMiB;  // 3.1.6 of the specification
constexpr uint32_t kFirstCluster = 2;

struct Plan {
  ExfatBootSector boot;
  uint32_t cluster_bytes = 0;
  uint64_t fat_offset = 0;
  uint64_t heap_offset = 0;
  uint64_t bitmap_bytes = 0;
  uint32_t bitmap_clusters = 0;
  uint32_t upcase_clusters = 0;
  [[nodiscard]] uint32_t upcase_cluster() const { return kFirstCluster + bitmap_clusters; }
  [[nodiscard]] uint32_t root_cluster() const { return upcase_cluster() + upcase_clusters; }
  [[nodiscard]] uint32_t used_clusters() const { return bitmap_clusters + upcase_clusters + 1; }
  [[nodiscard]] uint64_t offset_of(uint32_t cluster) const {
    return heap_offset + uint64_t{cluster - kFirstCluster} * cluster_bytes;
  }
};

tl::unexpected<Error> invalid(const std::string& what) { return fail(Errc::kInvalid, what); }

// As Windows chooses it.
uint32_t usual_cluster(uint64_t bytes) {
  if (bytes <= 256 * kMiB) return 4 * kKiB;
  return bytes <= 32 * kGiB ? 32 * kKiB : 128 * kKiB;
}

Result<> check(const FatFormat& format, uint64_t bytes) {
  if (bytes < kLeastBytes)
    return invalid("an exFAT volume has 1 MiB at least, not " + format_bytes(bytes));
  if (format.cluster_bytes &&
      (!is_power_of_two(*format.cluster_bytes) || *format.cluster_bytes < format.sector_bytes ||
       *format.cluster_bytes > kExfatMaxClusterBytes))
    return invalid("clusters have a power of two of bytes, from one sector to 32 MiB");
  if (format.root_entries != 0) return invalid("exFAT's root has no fixed size");
  return {};
}

// FAT and clusters each begin at a multiple of the alignment.
Result<Plan> choose(const FatFormat& format, uint64_t bytes, uint64_t upcase_bytes) {
  Plan plan;
  const uint32_t sector_bytes = format.sector_bytes;
  plan.cluster_bytes = format.cluster_bytes.value_or(std::max(usual_cluster(bytes), sector_bytes));
  const uint64_t usual_align = bytes < 64 * kMiB ? uint64_t{plan.cluster_bytes} : kMiB;
  const uint64_t align = std::max<uint64_t>(
      format.align_bytes != 0 ? format.align_bytes : std::min(usual_align, kMiB), sector_bytes);
  plan.fat_offset = round_up(uint64_t{2 * kExfatRegionSectors} * sector_bytes, align);
  uint64_t clusters = std::min<uint64_t>(bytes / plan.cluster_bytes, kExfatMostClusters);
  const uint64_t fat_bytes = round_up((clusters + kFirstCluster) * sizeof(uint32_t), sector_bytes);
  plan.heap_offset = round_up(plan.fat_offset + fat_bytes, align);
  if (plan.heap_offset >= bytes) return invalid("the disk is too small for clusters of that size");
  clusters = std::min(clusters, (bytes - plan.heap_offset) / plan.cluster_bytes);
  plan.bitmap_bytes = (clusters + 7) / 8;
  const auto in_clusters = [&](uint64_t length) {
    return static_cast<uint32_t>(round_up(length, plan.cluster_bytes) / plan.cluster_bytes);
  };
  plan.bitmap_clusters = in_clusters(plan.bitmap_bytes);
  plan.upcase_clusters = in_clusters(upcase_bytes);
  if (clusters < plan.used_clusters())
    return invalid(format_bytes(bytes) + " in clusters of " + std::to_string(plan.cluster_bytes) +
                   " bytes are too few clusters: choose smaller ones");
  plan.boot.partition_offset = format.partition_offset;
  plan.boot.volume_length = bytes / sector_bytes;
  plan.boot.fat_offset = static_cast<uint32_t>(plan.fat_offset / sector_bytes);
  plan.boot.fat_length = static_cast<uint32_t>(fat_bytes / sector_bytes);
  plan.boot.heap_offset = static_cast<uint32_t>(plan.heap_offset / sector_bytes);
  plan.boot.cluster_count = static_cast<uint32_t>(clusters);
  plan.boot.root_cluster = plan.root_cluster();
  plan.boot.serial = format.id.value_or(std::random_device{}());
  plan.boot.sector_shift = static_cast<uint8_t>(std::countr_zero(sector_bytes));
  plan.boot.cluster_shift =
      static_cast<uint8_t>(std::countr_zero(plan.cluster_bytes / sector_bytes));
  plan.boot.percent_in_use = static_cast<uint8_t>(uint64_t{plan.used_clusters()} * 100 / clusters);
  constexpr std::array<uint8_t, 3> kHaltForever{0xf4, 0xeb, 0xfd};
  std::ranges::copy(kHaltForever, plan.boot.code.begin());
  return plan;
}

Result<> write_fat(BlockQueue& lane, const Plan& plan) {
  std::vector<le32> entries(kFirstCluster + plan.used_clusters());
  entries[0] = 0xfffffff8;
  entries[1] = kExfatEnd;
  for (uint32_t i = kFirstCluster; i < entries.size(); i++) {
    const bool is_last =
        i + 1 == plan.upcase_cluster() || i + 1 == plan.root_cluster() || i == plan.root_cluster();
    entries[i] = is_last ? kExfatEnd : i + 1;
  }
  const uint64_t fat_bytes = uint64_t{plan.boot.fat_length} << plan.boot.sector_shift;
  TRY_VOID(zero_disk_bytes(lane, plan.fat_offset, fat_bytes));
  return write_disk_bytes(lane, plan.fat_offset, std::as_bytes(std::span(entries)));
}

Result<> write_tables(BlockQueue& lane, const Plan& plan, const std::vector<uint8_t>& upcase) {
  std::vector<uint8_t> bitmap(uint64_t{plan.bitmap_clusters} * plan.cluster_bytes);
  for (uint32_t i = 0; i < plan.used_clusters(); i++)
    bitmap[i / 8] = static_cast<uint8_t>(bitmap[i / 8] | 1U << i % 8);
  TRY_VOID(write_disk_bytes(lane, plan.offset_of(kFirstCluster), std::as_bytes(std::span(bitmap))));
  return write_disk_bytes(lane, plan.offset_of(plan.upcase_cluster()),
                          std::as_bytes(std::span(upcase)));
}

Result<> write_root(BlockQueue& lane, const Plan& plan, const FatSlot& label, bool has_label,
                    const std::vector<uint8_t>& upcase) {
  std::vector<FatSlot> root;
  if (has_label) root.push_back(label);
  ExfatTableSlot bitmap;
  bitmap.type = kExfatBitmap;
  bitmap.first_cluster = kFirstCluster;
  bitmap.bytes = plan.bitmap_bytes;
  root.push_back(std::bit_cast<FatSlot>(bitmap));
  ExfatTableSlot table;
  table.type = kExfatUpcase;
  table.checksum = ExfatUpcase::checksum(upcase);
  table.first_cluster = plan.upcase_cluster();
  table.bytes = upcase.size();
  root.push_back(std::bit_cast<FatSlot>(table));
  const uint64_t offset = plan.offset_of(plan.root_cluster());
  TRY_VOID(zero_disk_bytes(lane, offset, plan.cluster_bytes));
  return write_disk_bytes(lane, offset, std::as_bytes(std::span(root)));
}

}  // namespace

Result<> format_exfat(BlockQueue& lane, const FatFormat& format) {
  const uint64_t bytes = lane.geometry().capacity.bytes();
  TRY_VOID(check(format, bytes));
  const FatSlot label = TRY(exfat_label(format.label));
  const std::vector<uint8_t> upcase = ExfatUpcase().pack();
  const Plan plan = TRY(choose(format, bytes, upcase.size()));
  // Until all else is durable there is no boot sector.
  TRY_VOID(zero_disk_bytes(lane, 0, plan.fat_offset));
  TRY_VOID(lane.flush());
  TRY_VOID(write_fat(lane, plan));
  TRY_VOID(write_tables(lane, plan, upcase));
  TRY_VOID(write_root(lane, plan, label, !format.label.empty(), upcase));
  TRY_VOID(lane.flush());
  return write_exfat_boot(lane, plan.boot);
}

}  // namespace splitring
