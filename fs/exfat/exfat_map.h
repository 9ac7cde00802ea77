// The allocation bitmap and the FAT of an exFAT volume. The bitmap alone says what is free; it is
// in memory as a whole. The FAT, which says nothing of files that lie in one piece, is read page by
// page where a chain is followed.
//
// Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fs/exfat/exfat_boot.h"
#include "fs/fat/fat_io.h"
#include "fs/fat/fat_map.h"

namespace splitring {

class ExfatMap final : public FatMap {
 public:
  explicit ExfatMap(const ExfatGeometry& geometry) : FatMap(geometry), geometry_(geometry) {}

  // Reads the bitmap, which begins at a cluster and is that long. kInvalid: it is none.
  Result<> load(BlockQueue& lane, uint32_t first_cluster, uint64_t bytes);

  // Precondition of all three: is_cluster(cluster).
  Result<uint32_t> next(BlockQueue& lane, uint32_t cluster);
  Result<> set_next(BlockQueue& lane, uint32_t cluster, uint32_t next);
  [[nodiscard]] bool is_used(uint32_t cluster) const;  // as the disk's bitmap is to say it
  void set_used(uint32_t cluster, bool used);
  [[nodiscard]] uint64_t used_count() const;

  Result<FatChain> follow(BlockQueue& lane, uint32_t first, uint64_t most = UINT64_MAX) override;
  Result<> link(BlockQueue& lane, uint32_t tail, FatRun run) override;
  void own(FatRun run) override;
  [[nodiscard]] bool is_owned(FatRun run) const override;
  Result<> apply_frees(BlockQueue& lane) override;
  [[nodiscard]] bool dirty() const override { return dirty_; }
  Result<> write(BlockQueue& lane) override;

 private:
  static constexpr uint32_t kPageBytes = 4096;
  static constexpr uint32_t kPageEntries = kPageBytes / sizeof(uint32_t);
  struct Page {
    std::array<le32, kPageEntries> entries;
    uint32_t dirty_atoms = 0;  // a bit each
  };

  Result<FatChain> walk(BlockQueue& lane, uint32_t first, uint64_t most, bool owned);
  Result<Page*> page(BlockQueue& lane, uint32_t number);
  [[nodiscard]] uint64_t bitmap_offset(uint64_t byte) const;

  ExfatGeometry geometry_;
  FatChain bitmap_chain_;
  std::vector<std::byte> bitmap_;
  std::vector<bool> dirty_atoms_;  // of the bitmap
  std::unordered_map<uint32_t, std::unique_ptr<Page>> pages_;
  bool dirty_ = false;
};

}  // namespace splitring
