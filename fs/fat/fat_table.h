// The FAT in memory: which cluster follows which, and which are free.
//
// It is read once, in large requests, and changed in memory; what changed is written to all copies,
// sector by sector, when the volume's cycle says so. Allocating is done at once. Freeing is not: a
// chain that is given up is kept as it is, on the disk and here, until the directory entry that
// named it has gone from the disk; apply_frees() then changes the FAT, and only when that is
// durable, finish_frees() lets the clusters be used again.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_geometry.h"

namespace splitring {

// Clusters in a row.
struct FatRun {
  uint32_t first = 0;
  uint32_t count = 0;
};

// What an entry says.
inline constexpr uint32_t kFatFree = 0;
inline constexpr uint32_t kFatBad = 0x0ffffff7;
inline constexpr uint32_t kFatEnd = 0x0fffffff;  // any mark of an end reads as this

class FatTable {
 public:
  explicit FatTable(const FatGeometry& geometry) : geometry_(geometry) {}

  // Reads the active FAT and finds the free clusters.
  Result<> load(BlockQueue& lane);

  // Entries in FAT32's terms for all types: kFatFree, kFatBad, kFatEnd or the next cluster, which
  // may be no cluster of the volume. Precondition of both: is_cluster(cluster), or 0 or 1.
  [[nodiscard]] uint32_t get(uint32_t cluster) const;
  // The same as it will be once what is pending has been applied.
  [[nodiscard]] uint32_t next(uint32_t cluster) const {
    return !ends_.empty() && ends_.contains(cluster) ? kFatEnd : get(cluster);
  }
  void set(uint32_t cluster, uint32_t value);

  [[nodiscard]] uint32_t free_count() const { return free_count_; }
  [[nodiscard]] uint32_t pending_count() const { return pending_count_; }
  [[nodiscard]] bool is_free(uint32_t cluster) const;

  // Takes at most `wanted` free clusters in a row: those behind `after` if they are free (0: no
  // wish), else the first row that is long enough, else the longest. Nothing free: count 0. The FAT
  // does not change: chain them with link(), or give them back with release().
  // `whole_entries`: only such whose entry lies in one sector of the disk (of FAT12 some do not).
  FatRun take(uint32_t wanted, uint32_t after, bool whole_entries = false);
  void release(FatRun run);
  // Chains the run in the FAT, ending there; behind `tail` unless that is 0.
  void link(uint32_t tail, FatRun run);

  // Gives up clusters of a chain; see above. `tail`, unless 0, becomes the chain's last.
  void free_later(FatRun run);
  void end_later(uint32_t tail);
  [[nodiscard]] bool has_pending() const { return !pending_.empty() || !ends_.empty(); }
  void apply_frees();
  // The runs that may be used again from now on.
  std::vector<FatRun> finish_frees();

  // Writes what changed since the last call, to all copies; does not flush.
  [[nodiscard]] bool dirty() const { return dirty_count_ != 0; }
  Result<> write(BlockQueue& lane);
  // Makes the other copies equal to the active one. Returns how many sectors differed.
  Result<uint64_t> sync_copies(BlockQueue& lane, bool repair);

  // The two bits of entry 1 that Windows keeps; FAT12 has none. True: clean.
  [[nodiscard]] bool clean_mark() const;
  void set_clean_mark(bool clean);
  [[nodiscard]] uint32_t next_hint() const { return next_; }
  void set_next_hint(uint32_t cluster);

 private:
  [[nodiscard]] uint64_t entry_offset(uint32_t cluster) const;
  void mark_dirty(uint64_t offset, uint64_t bytes);
  void set_free_bit(uint32_t cluster, bool free);
  [[nodiscard]] uint32_t free_row(uint32_t first, uint32_t most) const;
  [[nodiscard]] uint32_t next_free(uint32_t from) const;
  FatRun search(uint32_t from, uint32_t until, uint32_t wanted, FatRun best) const;
  [[nodiscard]] bool has_whole_entry(uint32_t cluster) const;
  [[nodiscard]] uint32_t end() const { return geometry_.clusters + 2; }  // behind the last cluster

  FatGeometry geometry_;
  std::vector<std::byte> bytes_;  // of one FAT, as on the disk
  std::vector<uint64_t> free_;    // a bit for each cluster number
  std::vector<uint64_t> dirty_;   // a bit for each kFatAtomBytes of bytes_
  uint64_t dirty_count_ = 0;
  uint32_t free_count_ = 0;
  uint32_t next_ = 2;  // where to look first
  std::vector<FatRun> pending_;
  std::vector<FatRun> applied_;
  std::unordered_set<uint32_t> ends_;  // to become the last of their chains
  uint32_t pending_count_ = 0;
};

}  // namespace splitring
