#include "fs/fat/fat_plain_disk.h"

#include "fs/fat/fat_checker.h"

#include <algorithm>

namespace splitring {

Result<std::unique_ptr<FatDisk>> FatPlainDisk::open(BlockQueue& lane) {
  const FatBoot boot = TRY(read_fat_boot(lane));
  auto disk = std::unique_ptr<FatPlainDisk>(new FatPlainDisk(boot));
  TRY_VOID(disk->table_.load(lane));
  disk->was_dirty_ = (boot.tail.state & kFatStateDirty) != 0 || !disk->table_.clean_mark();
  // Only where to look first: what is free the FAT says.
  if (const auto info = TRY(read_fat_info(lane, boot.geometry)))
    disk->table_.set_next_hint(info->next_free);
  return std::unique_ptr<FatDisk>(std::move(disk));
}

FatVolumeInfo FatPlainDisk::info() const {
  return {.type = geometry_.type,
          .id = boot_.tail.signature == kFatExtendedSignature ? uint32_t{boot_.tail.id} : 0,
          .sector_bytes = geometry_.sector_bytes,
          .fat_count = geometry_.fat_count,
          .total_bytes = geometry_.total_bytes};
}

FatFacts FatPlainDisk::root() const {
  return {.attributes = kFatDirectory,
          .first_cluster = geometry_.root_cluster,
          .size = geometry_.root_bytes};
}

uint64_t FatPlainDisk::directory_bytes(const FatFacts& facts) const {
  if (facts.first_cluster == 0) return geometry_.root_bytes;
  const uint64_t most = kFatMaxDirectoryBytes / kFatAtomBytes;
  return table_.follow(facts.first_cluster, most).count() * geometry_.cluster_bytes;
}

std::unique_ptr<FatDirectory> FatPlainDisk::directory_in(std::vector<FatRun> runs) {
  return std::make_unique<FatSlotDirectory>(geometry_, std::move(runs));
}

Result<> FatPlainDisk::write_state(BlockQueue& lane, bool dirty) {
  if (!dirty) {
    TRY_VOID(write_fat_info(lane, geometry_, table_));
    TRY_VOID(lane.flush());
  }
  return write_fat_state(lane, geometry_, table_, dirty);
}

Result<> FatPlainDisk::write_label(BlockQueue& lane, std::string_view label) {
  constexpr std::string_view kNone = "NO NAME    ";
  FatShortName name = TRY(fat_label(label));
  if (label.empty()) std::ranges::copy(kNone, name.begin());
  return write_fat_label(lane, geometry_, name);
}

std::unique_ptr<FatTreeChecker> FatPlainDisk::recovery() {
  return std::make_unique<FatChecker>(boot_, table_, FatRepair::kRemains);
}

}  // namespace splitring
