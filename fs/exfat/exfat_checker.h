// The work of check_exfat(): one walk over the tree, then the bitmap against what the walk has
// seen.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/exfat/exfat_boot.h"
#include "fs/exfat/exfat_directory.h"
#include "fs/exfat/exfat_map.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_findings.h"

namespace splitring {

class ExfatChecker {
 public:
  ExfatChecker(const ExfatBoot& boot, FatRepair repair)
      : boot_(boot),
        geometry_(boot.geometry),
        findings_(repair),
        map_(boot.geometry),
        owned_(size_t{geometry_.clusters} + 2) {}
  Result<FatReport> run(BlockQueue& lane);

 private:
  // A directory to read; its clusters have been claimed.
  struct Branch {
    std::string path;
    std::vector<FatRun> runs;
    uint32_t depth = 0;
  };
  // An entry whose rename was not over.
  struct Moved {
    Branch in;
    uint32_t own = 0;
    uint32_t first = 0;
    bool is_source = false;
  };
  // What of a file's clusters is its own.
  struct Claim {
    FatChain chain;
    const char* fault = nullptr;
    bool is_longer = false;
  };

  // ---- exfat_check.cc
  Result<> prepare(BlockQueue& lane);
  Result<> claim_table(BlockQueue& lane, const char* what, uint32_t first, uint64_t bytes);
  Result<> settle_renames(BlockQueue& lane);
  Result<> find_lost(BlockQueue& lane);
  Result<> write_all(BlockQueue& lane);

  // ---- exfat_check_tree.cc
  Result<> walk(BlockQueue& lane);
  Result<> visit(BlockQueue& lane, const Branch& branch);
  Result<uint32_t> check_set(BlockQueue& lane, const Branch& branch, ExfatDirectory& directory,
                             uint32_t own);
  Result<> check_entry(BlockQueue& lane, const Branch& branch, ExfatDirectory& directory,
                       FatSet set);
  uint32_t check_stray(const Branch& branch, ExfatDirectory& directory, uint32_t slot);
  Result<bool> mend_facts(BlockQueue& lane, const std::string& path, FatFacts& facts, Claim& claim);
  Result<Claim> claim(BlockQueue& lane, const FatFacts& facts);

  ExfatBoot boot_;
  ExfatGeometry geometry_;
  FatFindings findings_;
  ExfatMap map_;
  std::shared_ptr<const ExfatUpcase> upcase_;
  std::vector<bool> owned_;
  std::vector<Branch> branches_;
  std::vector<Moved> moved_;
};

}  // namespace splitring
