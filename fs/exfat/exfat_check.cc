#include "fs/exfat/exfat_checker.h"

namespace splitring {

// The volume's own clusters come first: nothing else may have them.
Result<> ExfatChecker::claim_table(BlockQueue& lane, const char* what, uint32_t first,
                                   uint64_t bytes) {
  const FatFacts facts{.first_cluster = first, .size = bytes, .valid = bytes};
  const Claim claimed = TRY(claim_file(lane, facts));
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
  if (!boot_.copies_agree &&
      findings_.add(FatWeight::kRemains, boot_.main_is_sound
                                             ? "the second boot region differs from the first"
                                             : "the first boot region is damaged"))
    TRY_VOID(write_exfat_boot(lane, boot_.sector));
  report.was_dirty = (boot_.sector.volume_flags & kExfatDirty) != 0;
  if (report.was_dirty) findings_.add(FatWeight::kRemains, "the volume was not unmounted");
  TRY_VOID(claim_table(lane, "the bitmap", tables_.bitmap_cluster, tables_.bitmap_bytes));
  TRY_VOID(
      claim_table(lane, "the table of upper case", tables_.upcase_cluster, tables_.upcase_bytes));
  // As long as its chain is.
  const FatFacts root{.attributes = kFatDirectory,
                      .first_cluster = geometry_.root_cluster,
                      .size = kExfatMaxDirectoryBytes};
  Claim claimed = TRY(claim_file(lane, root));
  if (claimed.fault != nullptr && claimed.chain.fault() != nullptr &&
      findings_.add(FatWeight::kDamage, std::string("/: its chain ") + claimed.chain.fault()) &&
      claimed.chain.count() != 0)
    TRY_VOID(map_.set_next(lane, claimed.chain.last(), kExfatEnd));
  add_branch({.path = "", .cluster = geometry_.root_cluster, .runs = claimed.chain.runs()});
  return {};
}

Result<> ExfatChecker::write_state(BlockQueue& lane, bool clean) {
  if (!clean) return {};
  const uint64_t percent = map_.used_count() * 100 / geometry_.clusters;
  return write_exfat_state(lane, false, static_cast<uint8_t>(percent));
}

Result<FatReport> check_exfat(BlockQueue& lane, FatRepair repair) {
  if (repair != FatRepair::kNothing && lane.geometry().read_only)
    return fail(Errc::kPermission, "a read-only disk cannot be repaired");
  const ExfatBoot boot = TRY(read_exfat_boot(lane));
  const ExfatTables tables = TRY(find_exfat_tables(lane, boot.geometry));
  ExfatMap map(boot.geometry);
  TRY_VOID(map.load(lane, tables.bitmap_cluster, tables.bitmap_bytes));
  auto upcase =
      std::make_shared<const ExfatUpcase>(TRY(read_exfat_upcase(lane, boot.geometry, map, tables)));
  return ExfatChecker(boot, tables, map, std::move(upcase), repair).run(lane);
}

}  // namespace splitring
