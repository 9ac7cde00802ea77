// A file's or directory's clusters, as rows that lie together.
#pragma once

#include <cstdint>
#include <vector>

#include "fs/fat/fat_clusters.h"

namespace splitring {

class FatChain {
 public:
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] const std::vector<FatRun>& runs() const { return runs_; }
  [[nodiscard]] uint32_t first() const { return runs_.empty() ? 0 : runs_.front().first; }
  [[nodiscard]] uint32_t last() const {
    return runs_.empty() ? 0 : runs_.back().first + runs_.back().count - 1;
  }
  // What is wrong with it, if it does not end as a chain should; null: nothing.
  [[nodiscard]] const char* fault() const { return fault_; }
  void set_fault(const char* fault) { fault_ = fault; }
  // What lies at cluster `index` of the file, and how many more follow it on the disk.
  // Precondition: index < count().
  [[nodiscard]] FatRun at(uint64_t index) const;

  void append(FatRun run);
  // Leaves `count` clusters and returns the others.
  std::vector<FatRun> cut(uint64_t count);

 private:
  std::vector<FatRun> runs_;
  std::vector<uint64_t> starts_;  // in the file, of each run
  uint64_t count_ = 0;
  const char* fault_ = nullptr;
};

}  // namespace splitring
