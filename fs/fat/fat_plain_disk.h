// A FAT12, FAT16 or FAT32 volume as FatVolume mounts it.
#pragma once

#include "fs/fat/fat_boot.h"
#include "fs/fat/fat_disk.h"
#include "fs/fat/fat_slot_directory.h"

namespace splitring {

// A file has at most this many bytes (its size is a 32-bit number on the disk).
inline constexpr uint64_t kFatMaxFileBytes = 0xffffffff;

class FatPlainDisk final : public FatDisk {
 public:
  static Result<std::unique_ptr<FatDisk>> open(BlockQueue& lane);

  FatMap& map() override { return table_; }
  [[nodiscard]] const FatMap& map() const override { return table_; }
  [[nodiscard]] FatLimits limits() const override {
    return {.file_bytes = kFatMaxFileBytes, .directory_bytes = kFatMaxDirectoryBytes};
  }
  [[nodiscard]] FatVolumeInfo info() const override;
  [[nodiscard]] bool was_dirty() const override { return was_dirty_; }
  [[nodiscard]] FatFacts root() const override;
  [[nodiscard]] uint64_t directory_bytes(const FatFacts& facts) const override;
  std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) override;
  Result<> write_state(BlockQueue& lane, bool dirty) override;
  Result<> write_label(BlockQueue& lane, std::string_view label) override;
  std::unique_ptr<FatTreeChecker> recovery() override;

 private:
  explicit FatPlainDisk(const FatBoot& boot)
      : boot_(boot), geometry_(boot.geometry), table_(boot.geometry) {}

  FatBoot boot_;
  FatGeometry geometry_;
  FatTable table_;
  bool was_dirty_ = false;
};

}  // namespace splitring
