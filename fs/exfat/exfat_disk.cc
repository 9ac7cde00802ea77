#include "fs/exfat/exfat_disk.h"

#include <algorithm>
#include <bit>

#include "fs/disk_bytes.h"
#include "fs/exfat/exfat_checker.h"
#include "fs/exfat/exfat_directory.h"

namespace splitring {
namespace {

constexpr uint32_t kSlotsAtOnce = 128;

}  // namespace

Result<ExfatTables> find_exfat_tables(BlockQueue& lane, const ExfatGeometry& geometry) {
  ExfatTables found;
  ExfatMap fat(geometry);
  uint32_t cluster = geometry.root_cluster;
  const uint64_t most = geometry.clusters_for(kExfatMaxDirectoryBytes);
  std::vector<FatSlot> slots(kSlotsAtOnce);
  const auto complete = [&] { return found.bitmap_cluster != 0 && found.upcase_cluster != 0; };
  for (uint64_t count = 0; count < most && geometry.is_cluster(cluster) && !complete(); count++) {
    for (uint32_t at = 0; at < geometry.cluster_bytes; at += kSlotsAtOnce * sizeof(FatSlot)) {
      const size_t part =
          std::min<size_t>(kSlotsAtOnce, (geometry.cluster_bytes - at) / sizeof(FatSlot));
      TRY_VOID(read_disk_bytes(lane, geometry.offset_of(cluster) + at,
                               std::as_writable_bytes(std::span(slots).first(part))));
      for (const FatSlot& slot : std::span(slots).first(part)) {
        const auto table = std::bit_cast<ExfatTableSlot>(slot);
        if (table.type == kExfatBitmap && found.bitmap_cluster == 0 && (table.flags[0] & 1) == 0) {
          found.bitmap_cluster = table.first_cluster;
          found.bitmap_bytes = table.bytes;
        } else if (table.type == kExfatUpcase && found.upcase_cluster == 0) {
          found.upcase_cluster = table.first_cluster;
          found.upcase_bytes = table.bytes;
          found.upcase_checksum = table.checksum;
        }
      }
      if (complete() || slots[0].is_end()) break;
    }
    cluster = TRY(fat.next(lane, cluster));
  }
  if (!complete())
    return fail(Errc::kInvalid, "no exFAT volume: its root has no bitmap or table of upper case");
  return found;
}

Result<ExfatUpcase> read_exfat_upcase(BlockQueue& lane, const ExfatGeometry& geometry,
                                      ExfatMap& map, const ExfatTables& tables) {
  if (tables.upcase_bytes == 0 || tables.upcase_bytes > ExfatUpcase::kMostBytes)
    return fail(Errc::kInvalid, "no exFAT volume: a table of upper case of " +
                                    std::to_string(tables.upcase_bytes) + " bytes");
  const uint64_t needed = geometry.clusters_for(tables.upcase_bytes);
  const FatChain chain = TRY(map.follow(lane, tables.upcase_cluster, needed));
  if (chain.count() < needed)
    return fail(Errc::kInvalid,
                std::string("no exFAT volume: the chain of its table of upper case ") +
                    (chain.fault() != nullptr ? chain.fault() : "is too short"));
  std::vector<uint8_t> packed(tables.upcase_bytes);
  const auto bytes = std::as_writable_bytes(std::span(packed));
  uint64_t at = 0;
  for (const FatRun& run : chain.runs()) {
    const uint64_t part =
        std::min<uint64_t>(uint64_t{run.count} * geometry.cluster_bytes, bytes.size() - at);
    TRY_VOID(read_disk_bytes(lane, geometry.offset_of(run.first), bytes.subspan(at, part)));
    at += part;
  }
  return ExfatUpcase::unpack(packed, tables.upcase_checksum);
}

Result<std::unique_ptr<FatDisk>> ExfatDisk::open(BlockQueue& lane) {
  const ExfatBoot boot = TRY(read_exfat_boot(lane));
  auto disk = std::unique_ptr<ExfatDisk>(new ExfatDisk(boot));
  TRY_VOID(disk->load(lane));
  disk->was_dirty_ =
      (disk->boot_.sector.volume_flags & kExfatDirty) != 0 || !disk->boot_.copies_agree;
  return std::unique_ptr<FatDisk>(std::move(disk));
}

Result<> ExfatDisk::load(BlockQueue& lane) {
  tables_ = TRY(find_exfat_tables(lane, boot_.geometry));
  TRY_VOID(map_.load(lane, tables_.bitmap_cluster, tables_.bitmap_bytes));
  upcase_ = std::make_shared<const ExfatUpcase>(
      TRY(read_exfat_upcase(lane, boot_.geometry, map_, tables_)));
  const uint64_t most = map_.clusters().clusters_for(kExfatMaxDirectoryBytes);
  const FatChain root = TRY(map_.follow(lane, boot_.geometry.root_cluster, most));
  root_bytes_ = root.count() * map_.clusters().cluster_bytes;
  return {};
}

FatLimits ExfatDisk::limits() const {
  // A file may be longer than the disk, in the numbers of the format, but not have the clusters.
  return {.file_bytes = map_.clusters().clusters * uint64_t{map_.clusters().cluster_bytes},
          .directory_bytes = kExfatMaxDirectoryBytes,
          .keeps_valid_length = true,
          .keeps_directory_size = true,
          .needs_no_chain = true,
          .keeps_time_zone = true};
}

FatVolumeInfo ExfatDisk::info() const {
  return {.type = FatType::kExfat,
          .id = boot_.geometry.serial,
          .sector_bytes = boot_.geometry.sector_bytes,
          .fat_count = 1,
          .total_bytes = boot_.geometry.total_bytes};
}

FatFacts ExfatDisk::root() const {
  return {.attributes = kFatDirectory,
          .first_cluster = boot_.geometry.root_cluster,
          .size = root_bytes_,
          .valid = root_bytes_};
}

std::unique_ptr<FatDirectory> ExfatDisk::directory_in(std::vector<FatRun> runs) {
  return std::make_unique<ExfatDirectory>(map_.clusters(), std::move(runs), upcase_);
}

Result<> ExfatDisk::write_state(BlockQueue& lane, bool dirty) {
  const uint64_t percent = map_.used_count() * 100 / map_.clusters().clusters;
  return write_exfat_state(lane, dirty, static_cast<uint8_t>(percent));
}

std::unique_ptr<FatTreeChecker> ExfatDisk::recovery() {
  return std::make_unique<ExfatChecker>(boot_, tables_, map_, upcase_, FatRepair::kRemains);
}

}  // namespace splitring
