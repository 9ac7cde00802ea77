// Which clusters of a mounted volume are free, and which follow which: what FAT and exFAT have in
// common of that.
//
// Allocating is done at once. Freeing is not: clusters that are given up stay taken, on the disk
// and here, until the directory entry that named them has gone from the disk; apply_frees() then
// changes what the disk will say, and only when that is durable, finish_frees() lets them be used
// again.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_chain.h"
#include "fs/fat/fat_clusters.h"

namespace splitring {

class FatMap {
 public:
  virtual ~FatMap() = default;
  FatMap(const FatMap&) = delete;
  FatMap& operator=(const FatMap&) = delete;

  [[nodiscard]] const FatClusters& clusters() const { return clusters_; }
  [[nodiscard]] uint32_t free_count() const { return free_count_; }
  [[nodiscard]] uint32_t pending_count() const { return pending_count_; }
  [[nodiscard]] bool is_free(uint32_t cluster) const;

  // Takes at most `wanted` free clusters in a row: those behind `after` if they are free (0: no
  // wish), else the first row that is long enough, else the longest. Nothing free: count 0. The
  // disk does not change: use them with link(), or give them back with release(). `whole_entries`:
  // only such whose entry lies in one sector of the disk (of FAT12 some do not).
  FatRun take(uint32_t wanted, uint32_t after, bool whole_entries = false);
  void release(FatRun run);
  // Where to look first; any number.
  void set_next_hint(uint32_t cluster) { next_ = clusters_.is_cluster(cluster) ? cluster : 2; }
  [[nodiscard]] uint32_t next_hint() const { return next_; }

  // Follows the chain from `first`, for at most `most` clusters and never more than there are. What
  // is wrong with it is its fault(). Errors: the disk's.
  virtual Result<FatChain> follow(BlockQueue& lane, uint32_t first, uint64_t most = UINT64_MAX) = 0;
  // The clusters belong to a file from now on: behind `tail` (0: they are its first) of its chain,
  // which ends with them.
  virtual Result<> link(BlockQueue& lane, uint32_t tail, FatRun run) = 0;
  // The same of a file that needs no chain.
  virtual void own(FatRun run) = 0;
  // Whether all of a run that no chain tells apart is in use. Without that, it might be another's
  // soon.
  [[nodiscard]] virtual bool is_owned(FatRun /*run*/) const { return true; }
  // Chains clusters that had no chain, and end there.
  Result<> chain_up(BlockQueue& lane, const std::vector<FatRun>& runs);

  // Gives up clusters; see above. `tail`, unless 0, becomes its chain's last.
  void free_later(FatRun run);
  void end_later(uint32_t tail) { ends_.insert(tail); }
  [[nodiscard]] bool has_pending() const { return !pending_.empty() || !ends_.empty(); }
  virtual Result<> apply_frees(BlockQueue& lane) = 0;
  // The runs that may be used again from now on.
  std::vector<FatRun> finish_frees();

  // Writes what changed since the last call; does not flush.
  [[nodiscard]] virtual bool dirty() const = 0;
  virtual Result<> write(BlockQueue& lane) = 0;

 protected:
  explicit FatMap(const FatClusters& clusters) : clusters_(clusters) {}
  void forget_free();
  void set_free(uint32_t cluster, bool free);
  [[nodiscard]] virtual bool has_whole_entry(uint32_t /*cluster*/) const { return true; }
  [[nodiscard]] bool is_to_end(uint32_t cluster) const {
    return !ends_.empty() && ends_.contains(cluster);
  }
  // What was given up since the last call, which the disk is told now.
  const std::vector<FatRun>& take_pending();
  // What is to become the last of its chain, until the disk has been told.
  [[nodiscard]] const std::unordered_set<uint32_t>& ends() const { return ends_; }
  void forget_ends() { ends_.clear(); }

 private:
  [[nodiscard]] uint32_t end() const { return clusters_.end_cluster(); }
  [[nodiscard]] uint32_t free_row(uint32_t first, uint32_t most) const;
  [[nodiscard]] uint32_t next_free(uint32_t from) const;
  [[nodiscard]] FatRun search(uint32_t from, uint32_t until, uint32_t wanted, FatRun best) const;

  FatClusters clusters_;
  std::vector<uint64_t> free_;  // a bit for each cluster number
  uint32_t free_count_ = 0;
  uint32_t next_ = 2;
  std::unordered_set<uint32_t> ends_;
  std::vector<FatRun> pending_;
  std::vector<FatRun> applied_;
  uint32_t pending_count_ = 0;
};

}  // namespace splitring
