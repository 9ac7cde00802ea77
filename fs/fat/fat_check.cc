#include "fs/fat/fat_check.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "fs/fat/fat_checker.h"

namespace splitring {
// An entry that was to go, and the one that was to take its place: see fat_volume_rename.cc.
Result<> FatChecker::settle_renames(BlockQueue& lane) {
  std::unordered_set<uint32_t> targets;
  for (const Moved& moved : moved_)
    if (!moved.is_source) targets.insert(moved.first);
  // Sources first: as long as one is there, its target has to be known as one.
  std::vector<Moved> all = std::exchange(moved_, {});
  std::stable_partition(all.begin(), all.end(), [](const Moved& one) { return one.is_source; });
  for (const Moved& moved : all) {
    const bool arrived = moved.is_source && targets.contains(moved.first);
    const bool repairs = findings_.add(
        FatWeight::kRemains, moved.in.path + "/: a rename " +
                                 (arrived ? "that was not finished" : "that was not cleared up"));
    FatChain chain;
    if (moved.in.cluster != 0)
      chain = table_.follow(moved.in.cluster, kFatMaxDirectoryBytes / geometry_.cluster_bytes + 1);
    FatSlotDirectory directory(geometry_, chain.runs());
    TRY(directory.load(lane));
    const FatSet set = directory.set_at(moved.own);
    if (arrived) {
      directory.erase_own(set);
      directory.erase_rest(set);
    } else {
      FatSlot slot = directory.slot(moved.own);
      slot.nt_bits = static_cast<uint8_t>(slot.nt_bits & ~(kFatRenamedFrom | kFatRenamedTo));
      directory.set_slot(moved.own, slot);
      // It is an entry like any other.
      if (moved.is_source) check_entry(moved.in, directory, set);
    }
    if (repairs) TRY_VOID(directory.write_scrubbed(lane));
  }
  return {};
}

void FatChecker::find_lost() {
  for (uint32_t cluster = 2; cluster < geometry_.clusters + 2; cluster++) {
    const uint32_t value = table_.get(cluster);
    if (owned_[cluster]) findings_.report.used_clusters++;
    if (!owned_[cluster] && value != kFatFree && value != kFatBad) findings_.report.lost_clusters++;
  }
  if (findings_.report.lost_clusters == 0) return;
  const std::string what =
      std::to_string(findings_.report.lost_clusters) + " clusters belong to nothing";
  // Of a damaged tree they may be the rest of a file: those stay until all is put right.
  const bool certain = findings_.report.damage == 0 || findings_.repairs_all();
  if (!findings_.add(FatWeight::kRemains, what)) return;
  if (!certain) {
    findings_.was_left();
    return;
  }
  for (uint32_t cluster = 2; cluster < geometry_.clusters + 2; cluster++) {
    const uint32_t value = table_.get(cluster);
    if (!owned_[cluster] && value != kFatFree && value != kFatBad) {
      table_.set(cluster, kFatFree);
      table_.release({cluster, 1});
    }
  }
}

Result<> FatChecker::check_copies(BlockQueue& lane) {
  copies_behind_ = TRY(table_.sync_copies(lane, false));
  if (copies_behind_ != 0)
    findings_.add(FatWeight::kRemains, std::to_string(copies_behind_) +
                                           " sectors of the FAT's copies differ from the first");
  const auto info = TRY(read_fat_info(lane, geometry_));
  if (geometry_.info_offset != 0 && !info)
    findings_.add(FatWeight::kRemains, "the sector of hints (FSInfo) is none");
  // No count is a legal one.
  if (info && info->free_clusters != 0xffffffff && info->free_clusters != table_.free_count())
    findings_.add(FatWeight::kRemains, "the hint says that " + std::to_string(info->free_clusters) +
                                           " clusters are free, there are " +
                                           std::to_string(table_.free_count()));
  return {};
}

Result<> FatChecker::write_all(BlockQueue& lane) {
  if (!findings_.repairs()) return {};
  TRY_VOID(table_.write(lane));
  if (copies_behind_ != 0) TRY(table_.sync_copies(lane, true));
  TRY_VOID(lane.flush());
  TRY_VOID(write_fat_info(lane, geometry_, table_));
  TRY_VOID(lane.flush());
  if (findings_.report.was_dirty && findings_.report.unrepaired == 0)
    TRY_VOID(write_fat_state(lane, geometry_, table_, false));
  return {};
}

Result<FatReport> FatChecker::run(BlockQueue& lane) {
  TRY_VOID(table_.load(lane));
  findings_.report.clusters = geometry_.clusters;
  findings_.report.was_dirty = (boot_.tail.state & kFatStateDirty) != 0 || !table_.clean_mark();
  if (findings_.report.was_dirty)
    findings_.add(FatWeight::kRemains, "the volume was not unmounted");
  branches_.push_back({.path = "", .cluster = geometry_.root_cluster});
  TRY_VOID(walk(lane));
  TRY_VOID(settle_renames(lane));
  TRY_VOID(walk(lane));
  find_lost();
  TRY_VOID(check_copies(lane));
  TRY_VOID(write_all(lane));
  return std::move(findings_.report);
}

Result<FatReport> check_plain_fat(BlockQueue& lane, FatRepair repair) {
  if (repair != FatRepair::kNothing && lane.geometry().read_only)
    return fail(Errc::kPermission, "a read-only disk cannot be repaired");
  const FatBoot boot = TRY(read_fat_boot(lane));
  return FatChecker(boot, repair).run(lane);
}

}  // namespace splitring
