// check_fat() of FAT12, FAT16 and FAT32 (fs/fat/fat_check.h, fs/fat/fat_tree_checker.h).
#pragma once

#include <string>
#include <vector>

#include "fs/fat/fat_boot.h"
#include "fs/fat/fat_chain.h"
#include "fs/fat/fat_slot_directory.h"
#include "fs/fat/fat_table.h"
#include "fs/fat/fat_tree_checker.h"

namespace splitring {

class FatChecker final : public FatTreeChecker {
 public:
  // `table` has been loaded, and outlives the checker.
  FatChecker(const FatBoot& boot, FatTable& table, FatRepair repair)
      : FatTreeChecker(table, repair), boot_(boot), geometry_(boot.geometry), table_(table) {}

 private:
  // ---- fat_check.cc
  Result<> prepare(BlockQueue& lane) override;
  Result<bool> check_copies(BlockQueue& lane) override;
  Result<> check_hints(BlockQueue& lane) override;
  Result<> write_state(BlockQueue& lane, bool clean) override;
  std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) override {
    return std::make_unique<FatSlotDirectory>(geometry_, std::move(runs));
  }
  Result<bool> is_bad(BlockQueue& /*lane*/, uint32_t cluster) override {
    return table_.get(cluster) == kFatBad;
  }

  // ---- fat_check_tree.cc
  Result<> visit(BlockQueue& lane, Branch& branch) override;
  Result<> check_entry(BlockQueue& lane, const Branch& branch, FatDirectory& directory,
                       FatSet set) override;
  void check_dots(const Branch& branch, FatSlotDirectory& directory);
  Result<> check_slots(BlockQueue& lane, const Branch& branch, FatSlotDirectory& directory);
  void check_size(const Branch& branch, FatSlotDirectory& directory, uint32_t own);
  void check_file(const std::string& path, FatDirectory& directory, FatSet set);
  void check_directory(const Branch& branch, const std::string& path, FatDirectory& directory,
                       FatSet set);
  void claim_directory(Branch& branch);

  FatBoot boot_;
  FatGeometry geometry_;
  FatTable& table_;
  uint32_t copy_ = 0;  // of the FAT, to be compared next,
  uint64_t at_ = 0;    // from here on
  uint64_t differing_ = 0;
};

// check_fat() of FAT12, FAT16 and FAT32.
Result<FatReport> check_plain_fat(BlockQueue& lane, FatRepair repair);

}  // namespace splitring
