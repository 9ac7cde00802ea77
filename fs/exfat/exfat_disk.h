// An exFAT volume as FatVolume mounts it.
#pragma once

#include <memory>
#include <string>

#include "fs/exfat/exfat_boot.h"
#include "fs/exfat/exfat_map.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_disk.h"

namespace splitring {

// What the root directory says of the volume itself.
struct ExfatTables {
  uint32_t bitmap_cluster = 0;
  uint64_t bitmap_bytes = 0;
  uint32_t upcase_cluster = 0;
  uint64_t upcase_bytes = 0;
  uint32_t upcase_checksum = 0;
};

// Reads the root's first of each. `map` needs no bitmap yet. kInvalid: they are missing.
Result<ExfatTables> find_exfat_tables(BlockQueue& lane, const ExfatGeometry& geometry);
// The table of upper case behind an entry of the root; `map` has its bitmap.
Result<ExfatUpcase> read_exfat_upcase(BlockQueue& lane, const ExfatGeometry& geometry,
                                      ExfatMap& map, const ExfatTables& tables);

class ExfatDisk final : public FatDisk {
 public:
  static Result<std::unique_ptr<FatDisk>> open(BlockQueue& lane);

  FatMap& map() override { return map_; }
  [[nodiscard]] const FatMap& map() const override { return map_; }
  [[nodiscard]] FatLimits limits() const override;
  [[nodiscard]] FatVolumeInfo info() const override;
  [[nodiscard]] bool was_dirty() const override { return was_dirty_; }
  [[nodiscard]] FatFacts root() const override;
  [[nodiscard]] uint64_t directory_bytes(const FatFacts& facts) const override {
    return facts.size;
  }
  std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) override;
  Result<> write_state(BlockQueue& lane, bool dirty) override;
  std::unique_ptr<FatTreeChecker> recovery() override;

 private:
  explicit ExfatDisk(const ExfatBoot& boot) : boot_(boot), map_(boot.geometry) {}
  Result<> load(BlockQueue& lane);

  ExfatBoot boot_;
  ExfatTables tables_;
  ExfatMap map_;
  std::shared_ptr<const ExfatUpcase> upcase_;
  uint64_t root_bytes_ = 0;
  bool was_dirty_ = false;
};

}  // namespace splitring
