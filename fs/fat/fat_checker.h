// The work of check_fat(): one walk over the tree, then the FAT against what the walk has seen.
#pragma once

#include <string>
#include <vector>

#include "fs/fat/fat_boot.h"
#include "fs/fat/fat_chain.h"
#include "fs/fat/fat_findings.h"
#include "fs/fat/fat_slot_directory.h"
#include "fs/fat/fat_table.h"

namespace splitring {

class FatChecker {
 public:
  FatChecker(const FatBoot& boot, FatRepair repair)
      : boot_(boot),
        geometry_(boot.geometry),
        findings_(repair),
        table_(boot.geometry),
        owned_(geometry_.clusters + 2) {}
  Result<FatReport> run(BlockQueue& lane);

 private:
  // A directory to read, or an entry whose rename was not over.
  struct Branch {
    std::string path;
    uint32_t cluster = 0;
    uint32_t parent = 0;  // as its `..` is to say it
    uint32_t depth = 0;
  };
  struct Moved {
    Branch in;
    uint32_t own = 0;
    uint32_t first = 0;
    bool is_source = false;
  };

  // ---- fat_check.cc
  Result<> settle_renames(BlockQueue& lane);
  void find_lost();
  Result<> check_copies(BlockQueue& lane);
  Result<> write_all(BlockQueue& lane);

  // ---- fat_check_tree.cc
  Result<> walk(BlockQueue& lane);
  Result<> visit(BlockQueue& lane, const Branch& branch);
  void check_dots(const Branch& branch, FatSlotDirectory& directory);
  void check_slots(const Branch& branch, FatSlotDirectory& directory);
  void check_entry(const Branch& branch, FatSlotDirectory& directory, FatSet set);
  void check_file(const std::string& path, FatSlotDirectory& directory, FatSet set);
  void check_directory(const Branch& branch, const std::string& path, FatSlotDirectory& directory,
                       FatSet set);
  std::vector<FatRun> claim_directory(const Branch& branch);
  bool claim(uint32_t cluster);  // false: it has an owner

  FatBoot boot_;
  FatGeometry geometry_;
  FatFindings findings_;
  FatTable table_;
  std::vector<bool> owned_;
  std::vector<Branch> branches_;
  std::vector<Moved> moved_;
  uint64_t copies_behind_ = 0;
};

// check_fat() of FAT12, FAT16 and FAT32.
Result<FatReport> check_plain_fat(BlockQueue& lane, FatRepair repair);

}  // namespace splitring
