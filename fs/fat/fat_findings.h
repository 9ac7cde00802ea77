// What a checker has found so far, and what of it is to be put right.
#pragma once

#include <string>

#include "fs/fat/fat_check.h"

namespace splitring {

enum class FatWeight : uint8_t { kRemains, kDamage };

class FatFindings {
 public:
  explicit FatFindings(FatRepair repair) : repair_(repair) {}

  // Notes a finding; true: put it right.
  bool add(FatWeight weight, const std::string& what);
  // One that nobody can put right without asking.
  void add_unrepairable(const std::string& what);
  // The last one has not been put right after all.
  void was_left();

  [[nodiscard]] bool repairs() const { return repair_ != FatRepair::kNothing; }
  [[nodiscard]] bool repairs_all() const { return repair_ == FatRepair::kAll; }
  FatReport report;

 private:
  FatRepair repair_;
};

}  // namespace splitring
