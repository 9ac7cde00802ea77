// What a mounted volume knows of itself: its disk, directories, bytes on their way; and the
// cycles that bring it to the disk in the order that fs/fat/fat_volume.h promises.
//
// Not thread-safe: FatVolume's lock is held in every call.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_directory.h"
#include "fs/fat/fat_disk.h"
#include "fs/fat/fat_volume.h"
#include "fs/fat/fat_write_behind.h"

namespace splitring {

class FatCore {
 public:
  static Result<std::unique_ptr<FatCore>> open(BlockQueue& lane, const FatOptions& options);

  [[nodiscard]] FatDisk& disk() { return *disk_; }
  [[nodiscard]] FatMap& map() { return disk_->map(); }
  [[nodiscard]] const FatClusters& clusters() const { return clusters_; }
  [[nodiscard]] const FatLimits& limits() const { return limits_; }
  [[nodiscard]] const FatOptions& options() const { return options_; }
  // Bytes of files. Reads of the disk must come behind settle().
  Result<> write_data(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes,
                      bool nothing_behind);
  Result<> zero_data(BlockQueue& lane, uint64_t offset, uint64_t bytes, bool nothing_behind);
  Result<> settle(BlockQueue& lane, uint64_t offset, uint64_t bytes) {
    return data_.settle(lane, offset, bytes);
  }
  [[nodiscard]] bool was_dirty() const { return was_dirty_; }

  // Recovery of a volume that was not unmounted: a part of it. False: it is over. What it has not
  // got to is done first where somebody needs it.
  Result<bool> recover_some(BlockQueue& lane);
  // Until all marks of renames before are known.
  Result<> recover_names(BlockQueue& lane);

  void note(std::string what);
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

  // The clusters of a file or directory. The chain may have a fault. Errors: the disk's.
  Result<FatChain> chain_of(BlockQueue& lane, const FatFacts& facts, uint64_t most = UINT64_MAX);
  // A directory. It stays where it is until drop() or trim(). kIo: its chain is broken or too long.
  Result<FatDirectory*> directory(BlockQueue& lane, const FatFacts& facts);
  FatDirectory& add_directory(std::unique_ptr<FatDirectory> directory);
  void drop(uint32_t cluster) { directories_.erase(cluster); }
  // Forgets directories that can be read again, if there are many. Nobody may hold one.
  void trim();

  // Before anything is changed, in memory too: the volume is marked as dirty on the disk.
  // kPermission; kClosed; kIo: an earlier cycle failed.
  Result<> begin_change(BlockQueue& lane);
  // Free clusters, all of them or kNoSpace; what was freed becomes free first if need be.
  Result<std::vector<FatRun>> allocate(BlockQueue& lane, uint64_t wanted, uint32_t after,
                                       bool for_directory = false);
  // A place for a set; the directory, which `facts` are of, grows if it has to. kNoSpace.
  Result<FatSet> make_room(BlockQueue& lane, FatDirectory& directory, FatFacts& facts,
                           uint32_t count);

  [[nodiscard]] bool has_changes();
  // Everything so far is durable when it returns.
  Result<> cycle(BlockQueue& lane);
  [[nodiscard]] uint64_t cycles() const { return cycles_; }
  // A cycle if much has gathered.
  Result<> maybe_cycle(BlockQueue& lane);
  Result<> close(BlockQueue& lane);
  [[nodiscard]] bool closed() const { return closed_; }
  // Changes the label where it is no entry of the root.
  Result<> write_label(BlockQueue& lane, std::string_view label);

 private:
  FatCore(std::unique_ptr<FatDisk> disk, const FatOptions& options)
      : disk_(std::move(disk)),
        clusters_(disk_->clusters()),
        limits_(disk_->limits()),
        options_(options),
        data_(clusters_.data_offset, clusters_.cluster_bytes) {}
  Result<> begin_recovery(BlockQueue& lane);
  Result<bool> recovery_step(BlockQueue& lane);
  Result<> end_recovery(BlockQueue& lane);
  void give_up_recovery(const Error& why);
  Result<> write_new_directories(BlockQueue& lane);
  Result<> write_directories(BlockQueue& lane);
  Result<> write_frees(BlockQueue& lane);
  Result<> run_cycle(BlockQueue& lane);
  Result<> discard(BlockQueue& lane, const std::vector<FatRun>& runs);

  std::unique_ptr<FatDisk> disk_;
  FatClusters clusters_;
  FatLimits limits_;
  FatOptions options_;
  FatWriteBehind data_;
  std::unordered_map<uint32_t, std::unique_ptr<FatDirectory>> directories_;
  std::unique_ptr<FatTreeChecker> recovery_;  // while it is under way
  std::vector<std::string> notes_;
  std::string failure_;   // of a cycle: nothing can be changed since
  uint64_t changes_ = 0;  // since the last cycle
  uint64_t cycles_ = 0;
  bool was_dirty_ = false;
  bool marked_dirty_ = false;
  bool damaged_ = false;  // recovery left something: the volume stays marked
  bool unflushed_ = false;
  bool closed_ = false;
};

}  // namespace splitring
