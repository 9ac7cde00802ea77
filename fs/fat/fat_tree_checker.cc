#include "fs/fat/fat_tree_checker.h"

#include <algorithm>
#include <utility>

namespace splitring {
namespace {

constexpr uint32_t kFirstCluster = 2;
constexpr uint32_t kClustersAtOnce = uint32_t{1} << 18;

}  // namespace

FatTreeChecker::FatTreeChecker(FatMap& map, FatRepair repair)
    : findings_(repair),
      map_(map),
      in_use_(map.clusters().end_cluster()),
      owned_(map.clusters().end_cluster()),
      at_(kFirstCluster) {
  for (uint32_t cluster = kFirstCluster; cluster < map.clusters().end_cluster(); cluster++)
    in_use_[cluster] = !map.is_free(cluster);
}

Result<> FatTreeChecker::begin(BlockQueue& lane) {
  findings_.report.clusters = map_.clusters().clusters;
  return prepare(lane);
}

bool FatTreeChecker::claim(uint32_t cluster) {
  if (owned_[cluster]) return false;
  owned_[cluster] = true;
  return true;
}

// ---- the tree

void FatTreeChecker::add_branch(Branch branch) {
  order_.push_back(branch.cluster);
  branches_.insert_or_assign(branch.cluster, std::move(branch));
}

bool FatTreeChecker::is_moving(const Branch& branch, FatSet set, const FatFacts& facts) {
  if (facts.mark == FatMark::kNone) return false;
  const bool is_source = facts.mark == FatMark::kRenamedFrom;
  moved_.push_back({branch, set.own, facts.first_cluster, is_source});
  marked_.insert(branch.cluster);
  return is_source;
}

Result<> FatTreeChecker::visit_next(BlockQueue& lane) {
  const auto found = branches_.find(order_.back());
  order_.pop_back();
  if (found == branches_.end()) return {};  // somebody wanted it earlier
  Branch branch = std::move(found->second);
  branches_.erase(found);
  return visit(lane, branch);
}

Result<> FatTreeChecker::judge(BlockQueue& lane, uint32_t directory) {
  const auto found = branches_.find(directory);
  if (found != branches_.end()) {
    Branch branch = std::move(found->second);
    branches_.erase(found);
    TRY_VOID(visit(lane, branch));
  }
  while (is_waiting(directory)) TRY(step(lane));
  return {};
}

// An entry that was to go, and the one that was to take its place: see fat_volume_rename.cc.
Result<> FatTreeChecker::settle_renames(BlockQueue& lane) {
  std::unordered_set<uint32_t> targets;
  for (const Moved& moved : moved_)
    if (!moved.is_source) targets.insert(moved.first);
  // Sources first: as long as one is there, its target has to be known as one.
  std::vector<Moved> all = std::exchange(moved_, {});
  std::stable_partition(all.begin(), all.end(), [](const Moved& one) { return one.is_source; });
  for (const Moved& moved : all)
    TRY_VOID(settle_rename(lane, moved, moved.is_source && targets.contains(moved.first)));
  marked_.clear();
  return {};
}

Result<> FatTreeChecker::settle_rename(BlockQueue& lane, const Moved& moved, bool arrived) {
  const bool repairs = findings_.add(
      FatWeight::kRemains, moved.in.path + "/: a rename " +
                               (arrived ? "that was not finished" : "that was not cleared up"));
  const auto directory = directory_in(moved.in.runs);
  TRY(directory->load(lane));
  const FatSet set = directory->set_at(moved.own);
  if (arrived) {
    // Over two sectors: the part that is seen first.
    directory->erase_own(set);
    if (repairs) TRY_VOID(directory->write_scrubbed(lane));
    directory->erase_rest(set);
  } else {
    FatFacts facts = directory->facts(moved.own);
    facts.mark = FatMark::kNone;
    directory->update(moved.own, facts);
    // It is an entry like any other.
    if (moved.is_source) TRY_VOID(check_entry(lane, moved.in, *directory, set));
  }
  return repairs ? directory->write_scrubbed(lane) : Result<>{};
}

// ---- the map

// Calls visit(cluster) for some of the clusters that were in use and belong to nothing. False: for
// the last of them.
template <class Visit>
Result<bool> FatTreeChecker::for_lost(BlockQueue& lane, Visit&& visit) {
  const uint32_t end = map_.clusters().end_cluster();
  const uint32_t until = std::min(at_ + std::min(end - at_, kClustersAtOnce), end);
  for (; at_ < until; at_++) {
    if (owned_[at_] || !in_use_[at_] || map_.is_free(at_)) continue;
    if (!TRY(is_bad(lane, at_))) visit(at_);
  }
  if (at_ < end) return true;
  at_ = kFirstCluster;
  return false;
}

Result<> FatTreeChecker::count_lost(BlockQueue& lane) {
  FatReport& report = findings_.report;
  if (TRY(for_lost(lane, [&](uint32_t) { report.lost_clusters++; }))) return {};
  report.used_clusters = static_cast<uint64_t>(std::ranges::count(owned_, true));
  phase_ = Phase::kCopies;
  if (report.lost_clusters == 0 ||
      !findings_.add(FatWeight::kRemains,
                     std::to_string(report.lost_clusters) + " clusters belong to nothing"))
    return {};
  // Of a damaged tree they may be the rest of a file: those stay until all is put right.
  if (report.damage == 0 || findings_.repairs_all())
    phase_ = Phase::kFreeLost;
  else
    findings_.was_left();
  return {};
}

Result<> FatTreeChecker::free_lost(BlockQueue& lane) {
  FatRun run;
  const bool more = TRY(for_lost(lane, [&](uint32_t cluster) {
    if (cluster != run.first + run.count) {
      map_.free_later(run);
      run = {cluster, 0};
    }
    run.count++;
  }));
  map_.free_later(run);
  if (!more) phase_ = Phase::kCopies;
  return {};
}

Result<bool> FatTreeChecker::step(BlockQueue& lane) {
  switch (phase_) {
    case Phase::kTree:
      if (!order_.empty())
        TRY_VOID(visit_next(lane));
      else if (!moved_.empty())
        TRY_VOID(settle_renames(lane));
      else
        phase_ = Phase::kCountLost;
      return true;
    case Phase::kCountLost: TRY_VOID(count_lost(lane)); return true;
    case Phase::kFreeLost: TRY_VOID(free_lost(lane)); return true;
    case Phase::kCopies:
      if (!TRY(check_copies(lane))) phase_ = Phase::kDone;
      return true;
    case Phase::kDone: break;
  }
  return false;
}

// ---- a volume that nobody else uses

Result<> FatTreeChecker::write_frees(BlockQueue& lane) {
  if (!map_.has_pending()) return {};
  TRY_VOID(map_.apply_frees(lane));
  TRY_VOID(map_.write(lane));
  TRY_VOID(lane.flush());
  map_.finish_frees();
  return {};
}

Result<FatReport> FatTreeChecker::run(BlockQueue& lane) {
  TRY_VOID(begin(lane));
  while (TRY(step(lane))) TRY_VOID(write_frees(lane));
  TRY_VOID(check_hints(lane));
  if (findings_.repairs()) {
    TRY_VOID(map_.write(lane));
    TRY_VOID(lane.flush());
    const FatReport& report = findings_.report;
    TRY_VOID(write_state(lane, report.was_dirty && report.unrepaired == 0));
  }
  return std::move(findings_.report);
}

}  // namespace splitring
