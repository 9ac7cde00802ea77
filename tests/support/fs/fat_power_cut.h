// Workloads on a FAT volume above a disk that remembers every write, and what must hold of every
// image that a power cut may leave behind.
//
// The model keeps the tree after every operation. Of an image, cut at some moment, every path must
// be as it was in some state between the last sync before the cut and the last operation begun
// before it; what was the same in all of those must be there; and contents (which are unique) that
// existed under one name or another in all of them must exist exactly once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "blkimage/power_cut_disk.h"
#include "fs/fat/fat_format.h"
#include "tests/support/fs/fat_test_volume.h"

namespace splitring::test {

// Records one workload.
class FatCutWorkload {
 public:
  using Tree = std::map<std::string, std::string>;  // path to content; directories end in '/'
  struct State {
    Tree tree;
    size_t begun_at = 0;  // events on the disk before the operation that led to it
  };

  FatCutWorkload(uint64_t bytes, const FatFormat& format);

  // Operations. A refusal for want of space leaves the model as it was.
  void put(const std::string& path, size_t bytes);  // new content, over what is there
  void append(const std::string& path, size_t bytes);
  void truncate(const std::string& path, size_t bytes);
  void remove(const std::string& path);
  void mkdir(const std::string& path);
  void rmdir(const std::string& path);
  void rename(const std::string& from, const std::string& to);
  void sync();
  void random(uint32_t seed, int operations);  // of all of these, on a small set of names

  [[nodiscard]] const PowerCutDisk& disk() const { return *disk_; }
  [[nodiscard]] const Tree& tree() const { return states_.back().tree; }
  // Empty, or what is wrong with the files of a recovered volume that was cut at `moment`.
  std::string judge(FatTestVolume& volume, size_t moment) const;

 private:
  std::string content(size_t bytes);
  void done(Tree tree);
  void begin();

  PowerCutDisk* disk_ = nullptr;  // the volume's
  std::unique_ptr<FatTestVolume> volume_;
  std::vector<State> states_;
  std::vector<std::pair<size_t, size_t>> floors_;  // events after a sync, and its state
  size_t begun_at_ = 0;
  uint32_t next_content_ = 1;
};

// Every prefix, and in every epoch every subset of its sectors (or a sample of them).
struct FatCutResult {
  uint64_t images = 0;  // distinct ones
  uint64_t judged_by_fsck = 0;
  uint64_t recovery_cuts = 0;
  std::string failure;  // empty: none
};
struct FatCutLimits {
  uint64_t images = 1000;
  size_t exhaustive_sectors = 12;
  size_t samples_per_epoch = 64;
  uint64_t fsck_every = 10;   // images
  uint64_t recut_every = 20;  // of these, every write of the recovery
  uint32_t seed = 1;
};
FatCutResult cut_everywhere(const FatCutWorkload& workload, const FatCutLimits& limits);

}  // namespace splitring::test
