// The FAT in memory, of FAT12, FAT16 and FAT32: which cluster follows which, and which are free.
//
// It is read once, in large requests, and changed in memory; what changed is written to all copies,
// sector by sector, when the volume's cycle says so.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_map.h"

namespace splitring {

// What an entry says.
inline constexpr uint32_t kFatFree = 0;
inline constexpr uint32_t kFatBad = 0x0ffffff7;
inline constexpr uint32_t kFatEnd = 0x0fffffff;  // any mark of an end reads as this

class FatTable final : public FatMap {
 public:
  explicit FatTable(const FatGeometry& geometry) : FatMap(geometry), geometry_(geometry) {}

  // Reads the active FAT and finds the free clusters.
  Result<> load(BlockQueue& lane);

  // Entries in FAT32's terms for all types: kFatFree, kFatBad, kFatEnd or the next cluster, which
  // may be no cluster of the volume. Precondition of both: is_cluster(cluster), or 0 or 1.
  [[nodiscard]] uint32_t get(uint32_t cluster) const;
  // The same as it will be once what is pending has been applied.
  [[nodiscard]] uint32_t next(uint32_t cluster) const {
    return is_to_end(cluster) ? kFatEnd : get(cluster);
  }
  void set(uint32_t cluster, uint32_t value);

  // FatMap::follow() without the disk: all of the FAT is here.
  [[nodiscard]] FatChain follow(uint32_t first, uint64_t most = UINT64_MAX) const;
  Result<FatChain> follow(BlockQueue& /*lane*/, uint32_t first, uint64_t most) override {
    return follow(first, most);
  }
  Result<> link(BlockQueue& lane, uint32_t tail, FatRun run) override;
  void own(FatRun /*run*/) override {}  // every file has a chain
  Result<> apply_frees(BlockQueue& lane) override;

  // All copies.
  [[nodiscard]] bool dirty() const override { return dirty_count_ != 0; }
  Result<> write(BlockQueue& lane) override;
  // How many sectors of a copy, in whole ones from `at` on, differ on the disk from what is here
  // and need not be written anyway. `repair`: the next write() makes them equal.
  Result<uint64_t> compare_copy(BlockQueue& lane, uint32_t copy, uint64_t at, uint64_t bytes,
                                bool repair);

  // The two bits of entry 1 that Windows keeps; FAT12 has none. True: clean.
  [[nodiscard]] bool clean_mark() const;
  void set_clean_mark(bool clean);

 private:
  [[nodiscard]] uint64_t entry_offset(uint32_t cluster) const;
  void mark_dirty(uint64_t offset, uint64_t bytes);
  [[nodiscard]] bool is_dirty(uint64_t atom) const;
  [[nodiscard]] bool has_whole_entry(uint32_t cluster) const override;

  FatGeometry geometry_;
  std::vector<std::byte> bytes_;  // of one FAT, as on the disk
  std::vector<uint64_t> dirty_;   // a bit for each kFatAtomBytes of bytes_
  uint64_t dirty_count_ = 0;
};

}  // namespace splitring
