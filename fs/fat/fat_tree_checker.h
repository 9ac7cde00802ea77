// A check of a volume of the family, in bounded steps: one walk over the tree, then what the map
// says is in use against what the walk has seen. What FAT and exFAT have in common of that.
//
// It begins before anybody uses the volume. From then on the volume may be in use between the steps
// (that is recovery in the background, fs/fat/fat_core.h), as long as
//   - whoever wants a directory that is_waiting() calls judge() first;
//   - no empty file is given a rename's mark before knows_all_marks(): it would be like any other.
// What was in use on the disk at the beginning then belongs to nobody, if all has been judged and
// nothing has claimed it: a file that is removed, cut or moved meanwhile was in a directory that
// had been judged, so its clusters had been claimed; a cluster that is given to a new file was free
// at the beginning or had been claimed.
//
// Directories are put right on the disk at once, the map in memory: its owner writes it. One thread
// at a time; bounded by the number of clusters and slots, whatever the volume says.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fs/fat/fat_directory.h"
#include "fs/fat/fat_findings.h"
#include "fs/fat/fat_map.h"

namespace splitring {

class FatTreeChecker {
 public:
  virtual ~FatTreeChecker() = default;
  FatTreeChecker(const FatTreeChecker&) = delete;
  FatTreeChecker& operator=(const FatTreeChecker&) = delete;

  // The volume's own tables, and its root. Once, before anything else.
  Result<> begin(BlockQueue& lane);
  // The next part: a directory with the clusters of what it names, or some of the map. False: all
  // is done. After each the map may have clusters to free, and be dirty.
  Result<bool> step(BlockQueue& lane);
  // All of a volume that nobody else uses, written in the end.
  Result<FatReport> run(BlockQueue& lane);

  // A directory, by its first cluster, that has not been judged, or where a rename is half done.
  [[nodiscard]] bool is_waiting(uint32_t directory) const {
    return branches_.contains(directory) || marked_.contains(directory);
  }
  // Until it does not wait any more: at once, but for renames, which need the whole tree.
  Result<> judge(BlockQueue& lane, uint32_t directory);
  [[nodiscard]] bool knows_all_marks() const { return phase_ != Phase::kTree; }
  [[nodiscard]] const FatReport& report() const { return findings_.report; }

 protected:
  // A directory.
  struct Branch {
    std::string path;
    uint32_t cluster = 0;  // its first; 0: the fixed root
    uint32_t parent = 0;   // as its `..` is to say it
    uint32_t depth = 0;
    std::vector<FatRun> runs;  // of it, that have been claimed
  };
  // Far deeper than any path can be typed (a path of Windows has 260 characters).
  static constexpr uint32_t kDeepest = 512;

  // `map` has been loaded, and outlives the checker.
  FatTreeChecker(FatMap& map, FatRepair repair);

  // ---- what FAT and exFAT do each in its way
  // Adds the root, among other things.
  virtual Result<> prepare(BlockQueue& lane) = 0;
  // Claims what is not yet claimed of `branch.runs`, and checks all that it holds.
  virtual Result<> visit(BlockQueue& lane, Branch& branch) = 0;
  virtual Result<> check_entry(BlockQueue& lane, const Branch& branch, FatDirectory& directory,
                               FatSet set) = 0;
  [[nodiscard]] virtual std::unique_ptr<FatDirectory> directory_in(std::vector<FatRun> runs) = 0;
  virtual Result<bool> is_bad(BlockQueue& lane, uint32_t cluster) = 0;
  // A part of what else there is to compare. False: nothing is left.
  virtual Result<bool> check_copies(BlockQueue& /*lane*/) { return false; }
  // Of run() alone: what a volume says of itself that nobody uses.
  virtual Result<> check_hints(BlockQueue& /*lane*/) { return {}; }
  virtual Result<> write_state(BlockQueue& lane, bool clean) = 0;

  // ---- what they use for it
  void add_branch(Branch branch);
  [[nodiscard]] bool has_branch(uint32_t cluster) const { return branches_.contains(cluster); }
  // An entry with a rename's mark. True: nothing more is to be done about it now, for what it owns
  // another may own by now.
  bool is_moving(const Branch& branch, FatSet set, const FatFacts& facts);
  [[nodiscard]] bool is_owned(uint32_t cluster) const { return owned_[cluster]; }
  bool claim(uint32_t cluster);  // false: it has an owner

  FatFindings findings_;

 private:
  enum class Phase : uint8_t { kTree, kCountLost, kFreeLost, kCopies, kDone };
  // An entry whose rename was not over.
  struct Moved {
    Branch in;
    uint32_t own = 0;
    uint32_t first = 0;
    bool is_source = false;
  };

  Result<> visit_next(BlockQueue& lane);
  Result<> settle_renames(BlockQueue& lane);
  Result<> settle_rename(BlockQueue& lane, const Moved& moved, bool arrived);
  template <class Visit>
  Result<bool> for_lost(BlockQueue& lane, Visit&& visit);
  Result<> count_lost(BlockQueue& lane);
  Result<> free_lost(BlockQueue& lane);
  Result<> write_frees(BlockQueue& lane);

  FatMap& map_;
  Phase phase_ = Phase::kTree;
  std::vector<bool> in_use_;  // when it began
  std::vector<bool> owned_;
  std::unordered_map<uint32_t, Branch> branches_;  // to visit, by their first cluster
  std::vector<uint32_t> order_;                    // of those, the last one first; and of others
  std::vector<Moved> moved_;
  std::unordered_set<uint32_t> marked_;  // directories of those
  uint32_t at_ = 0;                      // where to go on in the map
};

}  // namespace splitring
