#include "fs/fat/fat_core.h"

#include <algorithm>
#include <utility>

#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr size_t kNotesInFull = 100;
constexpr uint64_t kChangesPerCycle = 20'000;
constexpr size_t kDirectoriesKept = 4096;
constexpr size_t kZeroesAtOnce = size_t{64} << 10;

}  // namespace

Result<std::unique_ptr<FatCore>> FatCore::open(BlockQueue& lane, const FatOptions& options) {
  auto disk = TRY(open_fat_disk(lane));
  auto core = std::unique_ptr<FatCore>(new FatCore(std::move(disk), options));
  core->options_.read_only = options.read_only || lane.geometry().read_only;
  core->was_dirty_ = core->disk_->was_dirty();
  if (core->was_dirty_ && !core->options_.read_only) TRY_VOID(core->begin_recovery(lane));
  return core;
}

// ---- recovery

Result<> FatCore::begin_recovery(BlockQueue& lane) {
  recovery_ = disk_->recovery();
  TRY_VOID(recovery_->begin(lane));
  if (options_.recover_later) {
    note("the volume was not unmounted, and is put in order in the background");
    return {};
  }
  while (TRY(recover_some(lane))) continue;
  return {};
}

Result<bool> FatCore::recovery_step(BlockQueue& lane) {
  if (!TRY(recovery_->step(lane))) {
    TRY_VOID(end_recovery(lane));
    return false;
  }
  // Clusters that were lost are nobody's yet: not much of them has to be remembered.
  if (map().has_pending()) TRY_VOID(cycle(lane));
  return true;
}

Result<bool> FatCore::recover_some(BlockQueue& lane) {
  if (closed_ || !failure_.empty()) recovery_.reset();
  if (recovery_ == nullptr) return false;
  auto more = recovery_step(lane);
  if (!more) give_up_recovery(more.error());
  return more;
}

// Nothing is changed from then on: nobody knows which clusters belong to what has not been seen.
void FatCore::give_up_recovery(const Error& why) {
  recovery_.reset();
  if (failure_.empty()) failure_ = "the volume cannot be put in order: " + why.what;
  note(failure_);
}

Result<> FatCore::recover_names(BlockQueue& lane) {
  while (recovery_ != nullptr && !recovery_->knows_all_marks()) TRY(recover_some(lane));
  return {};
}

Result<> FatCore::end_recovery(BlockQueue& lane) {
  const FatReport& report = recovery_->report();
  for (const FatFinding& finding : report.findings)
    note(finding.what + (finding.repaired ? "" : "; `splitring fat check --repair` mends it"));
  damaged_ = report.unrepaired != 0;
  recovery_.reset();
  TRY_VOID(cycle(lane));
  return damaged_ || marked_dirty_ ? Result<>{} : disk_->write_state(lane, false);
}

void FatCore::note(std::string what) {
  if (notes_.size() < kNotesInFull) notes_.push_back(std::move(what));
}

Result<FatChain> FatCore::chain_of(BlockQueue& lane, const FatFacts& facts, uint64_t most) {
  FatChain chain;
  if (facts.first_cluster == 0) return chain;
  if (!facts.contiguous) return map().follow(lane, facts.first_cluster, most);
  const uint64_t count = clusters_.clusters_for(facts.size);
  if (!clusters_.is_cluster(facts.first_cluster) ||
      count > clusters_.end_cluster() - facts.first_cluster) {
    chain.set_fault("leads out of the volume");
  } else if (const uint64_t part = std::min(count, most); part != 0) {
    const FatRun run{facts.first_cluster, static_cast<uint32_t>(part)};
    if (map().is_owned(run))
      chain.append(run);
    else
      chain.set_fault("leads to a free cluster");
  }
  return chain;
}

Result<FatDirectory*> FatCore::directory(BlockQueue& lane, const FatFacts& facts) {
  if (recovery_ != nullptr && recovery_->is_waiting(facts.first_cluster)) {
    auto judged = recovery_->judge(lane, facts.first_cluster);
    if (!judged) give_up_recovery(judged.error());
    TRY_VOID(std::move(judged));
  }
  const auto known = directories_.find(facts.first_cluster);
  if (known != directories_.end()) return known->second.get();
  const bool is_root = facts.first_cluster == disk_->root().first_cluster;
  const uint64_t most = clusters_.clusters_for(limits_.directory_bytes);
  FatChain chain = TRY(chain_of(lane, facts, most + 1));
  const char* fault = chain.count() > most ? "is longer than a directory may be" : chain.fault();
  if (limits_.keeps_directory_size && !is_root && fault == nullptr) {
    const uint64_t needed = clusters_.clusters_for(facts.size);
    if (chain.count() < needed) fault = "is too short for its size";
    chain.cut(needed);
  }
  if (fault == nullptr && chain.count() == 0 && !is_root) fault = "is empty";
  if (fault != nullptr) {
    const std::string what = "the chain of the directory at cluster " +
                             std::to_string(facts.first_cluster) + " " + fault +
                             "; `splitring fat check` says more";
    note(what);
    return fail(Errc::kIo, what);
  }
  auto directory = disk_->directory_in(chain.runs());
  const bool behind_end = TRY(directory->load(lane));
  FatDirectory& added = add_directory(std::move(directory));
  if (behind_end && !options_.read_only) TRY_VOID(added.write_scrubbed(lane));
  return &added;
}

FatDirectory& FatCore::add_directory(std::unique_ptr<FatDirectory> directory) {
  auto& place = directories_[directory->cluster()];
  place = std::move(directory);
  return *place;
}

void FatCore::trim() {
  if (directories_.size() < kDirectoriesKept) return;
  std::erase_if(directories_, [](const auto& item) {
    return !item.second->dirty() && !item.second->is_new() && !item.second->has_fresh();
  });
}

Result<> FatCore::begin_change(BlockQueue& lane) {
  if (options_.read_only) return fail(Errc::kPermission, "the volume is mounted read-only");
  if (closed_) return fail(Errc::kClosed, "the volume is closed");
  if (!failure_.empty())
    return fail(Errc::kIo, "an earlier write failed, nothing is changed since: " + failure_);
  changes_++;
  if (marked_dirty_) return {};
  TRY_VOID(disk_->write_state(lane, true));
  marked_dirty_ = true;
  return {};
}

Result<> FatCore::write_label(BlockQueue& lane, std::string_view label) {
  unflushed_ = true;
  return disk_->write_label(lane, label);
}

Result<std::vector<FatRun>> FatCore::allocate(BlockQueue& lane, uint64_t wanted, uint32_t after,
                                              bool for_directory) {
  if (map().free_count() < wanted && map().has_pending()) TRY_VOID(cycle(lane));
  // It may be full of what belongs to nobody.
  while (map().free_count() < wanted && recovery_ != nullptr) TRY(recover_some(lane));
  std::vector<FatRun> runs;
  uint64_t left = map().free_count() < wanted ? 0 : wanted;
  while (left != 0) {
    const auto most = static_cast<uint32_t>(std::min<uint64_t>(left, clusters_.clusters));
    const FatRun run = map().take(most, after, for_directory);
    if (run.count == 0) break;
    runs.push_back(run);
    left -= run.count;
    after = run.first + run.count - 1;
  }
  if (left == 0 && !runs.empty()) return runs;
  for (const FatRun& run : runs) map().release(run);
  return fail(Errc::kNoSpace, "the volume is full");
}

Result<FatSet> FatCore::make_room(BlockQueue& lane, FatDirectory& directory, FatFacts& facts,
                                  uint32_t count) {
  while (true) {
    if (const auto place = directory.find_place(count)) return *place;
    if (directory.runs().empty())
      return fail(Errc::kNoSpace, "the root directory is full (it has a fixed size)");
    if (directory.bytes() + clusters_.cluster_bytes > limits_.directory_bytes)
      return fail(Errc::kNoSpace,
                  "the directory is full: it has " + std::to_string(directory.slots()) + " slots");
    const uint32_t tail = directory.tail();
    const FatRun run = TRY(allocate(lane, 1, tail, true)).front();
    if (facts.contiguous && run.first == tail + 1) {
      map().own(run);
    } else {
      if (facts.contiguous) TRY_VOID(map().chain_up(lane, directory.runs()));
      facts.contiguous = false;
      TRY_VOID(map().link(lane, tail, run));
    }
    directory.add_cluster(run);
    if (limits_.keeps_directory_size) facts.size = facts.valid = directory.bytes();
  }
}

Result<> FatCore::write_data(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes,
                             bool nothing_behind) {
  unflushed_ = true;
  return data_.write(lane, offset, bytes, nothing_behind);
}

Result<> FatCore::zero_data(BlockQueue& lane, uint64_t offset, uint64_t bytes,
                            bool nothing_behind) {
  static const std::vector<std::byte> zeroes(kZeroesAtOnce);
  while (bytes != 0) {
    uint64_t part = std::min<uint64_t>(bytes, zeroes.size());
    if (bytes > zeroes.size() && offset % kPageSize == 0) {
      part = bytes / kPageSize * kPageSize;
      TRY_VOID(data_.settle(lane, offset, part));
      TRY_VOID(zero_disk_bytes(lane, offset, part));
      unflushed_ = true;
    } else {
      // Up to where whole pages begin, if much is to come.
      if (bytes > zeroes.size()) part = kPageSize - offset % kPageSize;
      TRY_VOID(
          write_data(lane, offset, std::span(zeroes).first(part), nothing_behind && part == bytes));
    }
    offset += part;
    bytes -= part;
  }
  return {};
}

// ---- cycles

bool FatCore::has_changes() {
  return !data_.empty() || map().dirty() || map().has_pending() || unflushed_ ||
         std::ranges::any_of(directories_, [](const auto& item) {
           return item.second->dirty() || item.second->is_new() || item.second->has_fresh();
         });
}

Result<> FatCore::write_new_directories(BlockQueue& lane) {
  FatWriteBatch batch;
  bool any = false;
  for (auto& [cluster, directory] : directories_) {
    if (directory->is_new()) {
      any = true;
      directory->write_new(batch);
    } else if (directory->has_fresh()) {
      any = true;
      TRY_VOID(directory->write_fresh(lane));
    }
  }
  TRY_VOID(batch.run(lane));
  return any ? lane.flush() : Result<>{};
}

Result<> FatCore::write_directories(BlockQueue& lane) {
  FatWriteBatch batch;
  for (auto& [cluster, directory] : directories_) {
    if (directory->dirty()) directory->write_dirty(batch);
    directory->forget_erased();
  }
  if (batch.empty()) return {};
  TRY_VOID(batch.run(lane));
  return lane.flush();
}

Result<> FatCore::write_frees(BlockQueue& lane) {
  if (!map().has_pending()) return {};
  TRY_VOID(map().apply_frees(lane));
  TRY_VOID(map().write(lane));
  TRY_VOID(lane.flush());
  const std::vector<FatRun> freed = map().finish_frees();
  return options_.discard ? discard(lane, freed) : Result<>{};
}

Result<> FatCore::discard(BlockQueue& lane, const std::vector<FatRun>& runs) {
  for (const FatRun& run : runs) {
    const auto done =
        lane.discard(Sectors::from_bytes(clusters_.offset_of(run.first)),
                     Sectors::from_bytes(uint64_t{run.count} * clusters_.cluster_bytes));
    // A disk may refuse: nothing is lost by that.
    if (!done && done.error().code != Errc::kUnsupported && done.error().code != Errc::kInvalid)
      return done;
  }
  return {};
}

Result<> FatCore::run_cycle(BlockQueue& lane) {
  TRY_VOID(data_.flush(lane));
  TRY_VOID(write_new_directories(lane));
  if (map().dirty()) {
    TRY_VOID(map().write(lane));
    TRY_VOID(lane.flush());
    unflushed_ = false;
  }
  if (unflushed_) TRY_VOID(lane.flush());
  unflushed_ = false;
  TRY_VOID(write_directories(lane));
  return write_frees(lane);
}

Result<> FatCore::cycle(BlockQueue& lane) {
  // What it was about is not in memory any more: no later cycle may say that all is well.
  if (!failure_.empty()) return fail(Errc::kIo, "an earlier write failed: " + failure_);
  if (!has_changes()) return {};
  unflushed_ = unflushed_ || !data_.empty();
  auto done = run_cycle(lane);
  if (!done) failure_ = done.error().what;
  changes_ = 0;
  cycles_++;
  return done;
}

Result<> FatCore::maybe_cycle(BlockQueue& lane) {
  return changes_ > kChangesPerCycle ? cycle(lane) : Result<>{};
}

Result<> FatCore::close(BlockQueue& lane) {
  if (closed_ || options_.read_only) return {};
  if (!failure_.empty()) return fail(Errc::kIo, "an earlier write failed: " + failure_);
  TRY_VOID(cycle(lane));
  if (marked_dirty_ && !damaged_ && recovery_ == nullptr) TRY_VOID(disk_->write_state(lane, false));
  closed_ = true;
  return {};
}

}  // namespace splitring
