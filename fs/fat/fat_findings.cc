#include "fs/fat/fat_findings.h"

namespace splitring {
namespace {

constexpr size_t kFindingsKept = 1000;

}  // namespace

bool FatFindings::add(FatWeight weight, const std::string& what) {
  const bool damage = weight == FatWeight::kDamage;
  const bool repaired = repairs_all() || (repairs() && !damage);
  damage ? report.damage++ : report.remains++;
  if (!repaired) report.unrepaired++;
  if (report.findings.size() < kFindingsKept) report.findings.push_back({damage, repaired, what});
  return repaired;
}

void FatFindings::add_unrepairable(const std::string& what) {
  if (add(FatWeight::kDamage, what)) was_left();
}

void FatFindings::was_left() {
  report.unrepaired++;
  if (report.findings.size() < kFindingsKept) report.findings.back().repaired = false;
}

}  // namespace splitring
