#include "fs/fat/fat_check.h"

#include <algorithm>

#include "fs/fat/fat_checker.h"

namespace splitring {
namespace {

constexpr uint64_t kComparedAtOnce = uint64_t{1} << 20;

}  // namespace

Result<> FatChecker::prepare(BlockQueue& /*lane*/) {
  FatReport& report = findings_.report;
  report.was_dirty = (boot_.tail.state & kFatStateDirty) != 0 || !table_.clean_mark();
  if (report.was_dirty) findings_.add(FatWeight::kRemains, "the volume was not unmounted");
  add_branch({.path = "", .cluster = geometry_.root_cluster, .runs = {}});
  return {};
}

Result<bool> FatChecker::check_copies(BlockQueue& lane) {
  if (copy_ == geometry_.active_fat) copy_++;
  if (copy_ >= geometry_.fat_count || !geometry_.mirrored) {
    if (differing_ != 0)
      findings_.add(FatWeight::kRemains, std::to_string(differing_) +
                                             " sectors of the FAT's copies differ from the first");
    return false;
  }
  const uint64_t part = std::min(kComparedAtOnce, geometry_.fat_used_bytes - at_);
  differing_ += TRY(table_.compare_copy(lane, copy_, at_, part, findings_.repairs()));
  at_ += part;
  if (at_ < geometry_.fat_used_bytes) return true;
  at_ = 0;
  copy_++;
  return true;
}

Result<> FatChecker::check_hints(BlockQueue& lane) {
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

Result<> FatChecker::write_state(BlockQueue& lane, bool clean) {
  TRY_VOID(write_fat_info(lane, geometry_, table_));
  TRY_VOID(lane.flush());
  return clean ? write_fat_state(lane, geometry_, table_, false) : Result<>{};
}

Result<FatReport> check_plain_fat(BlockQueue& lane, FatRepair repair) {
  if (repair != FatRepair::kNothing && lane.geometry().read_only)
    return fail(Errc::kPermission, "a read-only disk cannot be repaired");
  const FatBoot boot = TRY(read_fat_boot(lane));
  FatTable table(boot.geometry);
  TRY_VOID(table.load(lane));
  return FatChecker(boot, table, repair).run(lane);
}

}  // namespace splitring
