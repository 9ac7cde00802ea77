// check_fat() of exFAT (fs/fat/fat_check.h, fs/fat/fat_tree_checker.h): the same words for the same
// things.
//
// Remains are here: clusters that the bitmap has and nobody owns or that lie behind a file's end,
// slots of a set without its first, a rename half done, a boot region that is behind. A set whose
// sums are wrong and all else is right gets new ones; one that is broken goes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/exfat/exfat_boot.h"
#include "fs/exfat/exfat_directory.h"
#include "fs/exfat/exfat_disk.h"
#include "fs/exfat/exfat_map.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_tree_checker.h"

namespace splitring {

class ExfatChecker final : public FatTreeChecker {
 public:
  // `map` has been loaded, and outlives the checker.
  ExfatChecker(const ExfatBoot& boot, const ExfatTables& tables, ExfatMap& map,
               std::shared_ptr<const ExfatUpcase> upcase, FatRepair repair)
      : FatTreeChecker(map, repair),
        boot_(boot),
        geometry_(boot.geometry),
        tables_(tables),
        map_(map),
        upcase_(std::move(upcase)) {}

 private:
  // What of a file's clusters is its own.
  struct Claim {
    FatChain chain;
    const char* fault = nullptr;
    bool is_longer = false;
  };

  // ---- exfat_check.cc
  Result<> prepare(BlockQueue& lane) override;
  Result<> claim_table(BlockQueue& lane, const char* what, uint32_t first, uint64_t bytes);
  Result<> write_state(BlockQueue& lane, bool clean) override;
  std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) override {
    return std::make_unique<ExfatDirectory>(geometry_, std::move(runs), upcase_);
  }
  Result<bool> is_bad(BlockQueue& lane, uint32_t cluster) override {
    return TRY(map_.next(lane, cluster)) == kExfatBad;
  }

  // ---- exfat_check_tree.cc
  Result<> visit(BlockQueue& lane, Branch& branch) override;
  Result<uint32_t> check_set(BlockQueue& lane, const Branch& branch, ExfatDirectory& directory,
                             uint32_t own);
  Result<> check_entry(BlockQueue& lane, const Branch& branch, FatDirectory& directory,
                       FatSet set) override;
  uint32_t check_stray(const Branch& branch, ExfatDirectory& directory, uint32_t slot);
  Result<bool> mend_facts(BlockQueue& lane, const std::string& path, FatFacts& facts, Claim& claim);
  Result<Claim> claim_file(BlockQueue& lane, const FatFacts& facts);

  ExfatBoot boot_;
  ExfatGeometry geometry_;
  ExfatTables tables_;
  ExfatMap& map_;
  std::shared_ptr<const ExfatUpcase> upcase_;
};

// check_fat() of exFAT.
Result<FatReport> check_exfat(BlockQueue& lane, FatRepair repair);

}  // namespace splitring
