#include "fs/exfat/exfat_check.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "fs/exfat/exfat_checker.h"
#include "fs/exfat/exfat_disk.h"

namespace splitring {

// The volume's own clusters come first: nothing else may have them.
Result<> ExfatChecker::claim_table(BlockQueue& lane, const char* what, uint32_t first,
                                   uint64_t bytes) {
  const FatFacts facts{.first_cluster = first, .size = bytes, .valid = bytes};
  const Claim claimed = TRY(claim(lane, facts));
  if (claimed.fault != nullptr)
    findings_.add_unrepairable(std::string(what) + ": its chain " + claimed.fault);
  for (const FatRun& run : claimed.chain.runs())
    if (!map_.is_owned(run) &&
        findings_.add(FatWeight::kDamage, std::string(what) + " has clusters that are called free"))
      map_.own(run);
  return {};
}

Result<> ExfatChecker::prepare(BlockQueue& lane) {
  FatReport& report = findings_.report;
  report.clusters = geometry_.clusters;
  if (!boot_.copies_agree)
    findings_.add(FatWeight::kRemains, boot_.main_is_sound
                                           ? "the second boot region differs from the first"
                                           : "the first boot region is damaged");
  const ExfatTables tables = TRY(find_exfat_tables(lane, geometry_));
  TRY_VOID(map_.load(lane, tables.bitmap_cluster, tables.bitmap_bytes));
  report.was_dirty = (boot_.sector.volume_flags & kExfatDirty) != 0;
  if (report.was_dirty) findings_.add(FatWeight::kRemains, "the volume was not unmounted");
  upcase_ =
      std::make_shared<const ExfatUpcase>(TRY(read_exfat_upcase(lane, geometry_, map_, tables)));
  TRY_VOID(claim_table(lane, "the bitmap", tables.bitmap_cluster, tables.bitmap_bytes));
  TRY_VOID(
      claim_table(lane, "the table of upper case", tables.upcase_cluster, tables.upcase_bytes));
  // As long as its chain is.
  const FatFacts root{.attributes = kFatDirectory,
                      .first_cluster = geometry_.root_cluster,
                      .size = kExfatMaxDirectoryBytes};
  Claim claimed = TRY(claim(lane, root));
  if (claimed.fault != nullptr && claimed.chain.fault() != nullptr &&
      findings_.add(FatWeight::kDamage, std::string("/: its chain ") + claimed.chain.fault()) &&
      claimed.chain.count() != 0)
    TRY_VOID(map_.set_next(lane, claimed.chain.last(), kExfatEnd));
  branches_.push_back({.path = "", .runs = claimed.chain.runs()});
  return {};
}

// An entry that was to go, and the one that was to take its place: see fat_volume_rename.cc.
Result<> ExfatChecker::settle_renames(BlockQueue& lane) {
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
    ExfatDirectory directory(geometry_, moved.in.runs, upcase_);
    TRY(directory.load(lane));
    const FatSet set = directory.set_at(moved.own);
    if (arrived) {
      // Over two sectors: the part that is seen first. What is left is a stray one then.
      directory.erase_own(set);
      if (repairs) TRY_VOID(directory.write_scrubbed(lane));
      directory.erase_rest(set);
    } else {
      FatFacts facts = directory.facts(moved.own);
      facts.mark = FatMark::kNone;
      directory.update(moved.own, facts);
      // It is an entry like any other.
      if (moved.is_source) TRY_VOID(check_entry(lane, moved.in, directory, set));
    }
    if (repairs) TRY_VOID(directory.write_scrubbed(lane));
  }
  return {};
}

Result<> ExfatChecker::find_lost(BlockQueue& lane) {
  FatReport& report = findings_.report;
  std::vector<uint32_t> lost;
  for (uint32_t cluster = 2; cluster < geometry_.end_cluster(); cluster++) {
    if (owned_[cluster]) report.used_clusters++;
    if (owned_[cluster] || !map_.is_used(cluster)) continue;
    if (TRY(map_.next(lane, cluster)) != kExfatBad) lost.push_back(cluster);
  }
  report.lost_clusters = lost.size();
  if (lost.empty()) return {};
  // Of a damaged tree they may be the rest of a file: those stay until all is put right.
  const bool certain = report.damage == 0 || findings_.repairs_all();
  if (!findings_.add(FatWeight::kRemains,
                     std::to_string(lost.size()) + " clusters belong to nothing"))
    return {};
  if (!certain) {
    findings_.was_left();
    return {};
  }
  for (const uint32_t cluster : lost) map_.set_used(cluster, false);
  return {};
}

Result<> ExfatChecker::write_all(BlockQueue& lane) {
  if (!findings_.repairs()) return {};
  TRY_VOID(map_.write(lane));
  TRY_VOID(lane.flush());
  if (!boot_.copies_agree) TRY_VOID(write_exfat_boot(lane, boot_.sector));
  if (!findings_.report.was_dirty || findings_.report.unrepaired != 0) return {};
  const uint64_t percent = map_.used_count() * 100 / geometry_.clusters;
  return write_exfat_state(lane, false, static_cast<uint8_t>(percent));
}

Result<FatReport> ExfatChecker::run(BlockQueue& lane) {
  TRY_VOID(prepare(lane));
  TRY_VOID(walk(lane));
  TRY_VOID(settle_renames(lane));
  TRY_VOID(walk(lane));
  TRY_VOID(find_lost(lane));
  TRY_VOID(write_all(lane));
  return std::move(findings_.report);
}

Result<FatReport> check_exfat(BlockQueue& lane, FatRepair repair) {
  if (repair != FatRepair::kNothing && lane.geometry().read_only)
    return fail(Errc::kPermission, "a read-only disk cannot be repaired");
  const ExfatBoot boot = TRY(read_exfat_boot(lane));
  return ExfatChecker(boot, repair).run(lane);
}

}  // namespace splitring
