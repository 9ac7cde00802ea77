#include "fs/fat/fat_core.h"

#include <algorithm>
#include <utility>

#include "fs/fat/fat_boot.h"
#include "fs/fat/fat_check.h"
#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr size_t kNotesInFull = 100;
constexpr uint64_t kChangesPerCycle = 20'000;
constexpr size_t kDirectoriesKept = 4096;
constexpr size_t kZeroesAtOnce = size_t{64} << 10;

}  // namespace

Result<std::unique_ptr<FatCore>> FatCore::open(BlockQueue& lane, const FatOptions& options) {
  const FatBoot boot = TRY(read_fat_boot(lane));
  auto core = std::unique_ptr<FatCore>(new FatCore(boot.geometry, options));
  core->options_.read_only = options.read_only || lane.geometry().read_only;
  TRY_VOID(core->table_.load(lane));
  core->id_ = boot.tail.signature == kFatExtendedSignature ? uint32_t{boot.tail.id} : 0;
  core->was_dirty_ = (boot.tail.state & kFatStateDirty) != 0 || !core->table_.clean_mark();
  if (core->was_dirty_ && !core->options_.read_only) TRY_VOID(core->recover(lane));
  // Only where to look first: what is free the FAT says.
  if (const auto info = TRY(read_fat_info(lane, boot.geometry)))
    core->table_.set_next_hint(info->next_free);
  return core;
}

Result<> FatCore::recover(BlockQueue& lane) {
  const FatReport report = TRY(check_fat(lane, FatRepair::kRemains));
  for (const FatFinding& finding : report.findings)
    note(finding.what + (finding.repaired ? "" : "; `splitring fat check --repair` mends it"));
  damaged_ = report.unrepaired != 0;
  return table_.load(lane);
}

void FatCore::note(std::string what) {
  if (notes_.size() < kNotesInFull) notes_.push_back(std::move(what));
}

Result<FatDirectory*> FatCore::directory(BlockQueue& lane, uint32_t cluster) {
  const auto known = directories_.find(cluster);
  if (known != directories_.end()) return known->second.get();
  std::vector<FatRun> runs;
  if (cluster != 0 || geometry_.root_bytes == 0) {
    const uint64_t most =
        kFatMaxDirectoryBytes / std::min(geometry_.cluster_bytes, kFatMaxDirectoryBytes);
    const FatChain chain = FatChain::follow(table_, geometry_, cluster, most + 1);
    const char* fault = chain.count() > most ? "is longer than a directory may be" : chain.fault();
    if (fault != nullptr) {
      const std::string what = "the chain of the directory at cluster " + std::to_string(cluster) +
                               " " + fault + "; `splitring fat check` says more";
      note(what);
      return fail(Errc::kIo, what);
    }
    runs = chain.runs();
  }
  auto directory = std::make_unique<FatDirectory>(geometry_, std::move(runs));
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
  TRY_VOID(write_fat_state(lane, geometry_, table_, true));
  marked_dirty_ = true;
  return {};
}

Result<> FatCore::write_label(BlockQueue& lane, const FatShortName& label) {
  unflushed_ = true;
  return write_fat_label(lane, geometry_, label);
}

Result<std::vector<FatRun>> FatCore::allocate(BlockQueue& lane, uint64_t wanted, uint32_t after,
                                              bool for_directory) {
  if (table_.free_count() < wanted && table_.has_pending()) TRY_VOID(cycle(lane));
  std::vector<FatRun> runs;
  uint64_t left = table_.free_count() < wanted ? 0 : wanted;
  while (left != 0) {
    const auto most = static_cast<uint32_t>(std::min<uint64_t>(left, geometry_.clusters));
    const FatRun run = table_.take(most, after, for_directory);
    if (run.count == 0) break;
    runs.push_back(run);
    left -= run.count;
    after = run.first + run.count - 1;
  }
  if (left == 0 && !runs.empty()) return runs;
  for (const FatRun& run : runs) table_.release(run);
  return fail(Errc::kNoSpace, "the volume is full");
}

Result<FatSet> FatCore::make_room(BlockQueue& lane, FatDirectory& directory, uint32_t count,
                                  std::optional<FatSet> besides) {
  while (true) {
    if (const auto place = directory.find_place(count, besides)) return *place;
    if (directory.runs().empty())
      return fail(Errc::kNoSpace, "the root directory is full (it has a fixed size)");
    if (uint64_t{directory.slots()} * sizeof(FatSlot) + geometry_.cluster_bytes >
        kFatMaxDirectoryBytes)
      return fail(Errc::kNoSpace, "the directory is full: it has 65,536 slots");
    const std::vector<FatRun> runs = TRY(allocate(lane, 1, directory.tail(), true));
    table_.link(directory.tail(), runs.front());
    directory.add_cluster(runs.front());
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

bool FatCore::has_changes() const {
  return !data_.empty() || table_.dirty() || table_.has_pending() || unflushed_ ||
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
  if (!table_.has_pending()) return {};
  table_.apply_frees();
  TRY_VOID(table_.write(lane));
  TRY_VOID(lane.flush());
  const std::vector<FatRun> freed = table_.finish_frees();
  return options_.discard ? discard(lane, freed) : Result<>{};
}

Result<> FatCore::discard(BlockQueue& lane, const std::vector<FatRun>& runs) {
  for (const FatRun& run : runs) {
    const auto done =
        lane.discard(Sectors::from_bytes(geometry_.offset_of(run.first)),
                     Sectors::from_bytes(uint64_t{run.count} * geometry_.cluster_bytes));
    // A disk may refuse: nothing is lost by that.
    if (!done && done.error().code != Errc::kUnsupported && done.error().code != Errc::kInvalid)
      return done;
  }
  return {};
}

Result<> FatCore::run_cycle(BlockQueue& lane) {
  TRY_VOID(data_.flush(lane));
  TRY_VOID(write_new_directories(lane));
  if (table_.dirty()) {
    TRY_VOID(table_.write(lane));
    TRY_VOID(lane.flush());
    unflushed_ = false;
  }
  if (unflushed_) TRY_VOID(lane.flush());
  unflushed_ = false;
  TRY_VOID(write_directories(lane));
  return write_frees(lane);
}

Result<> FatCore::cycle(BlockQueue& lane) {
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
  if (marked_dirty_ && !damaged_) {
    TRY_VOID(write_fat_info(lane, geometry_, table_));
    TRY_VOID(lane.flush());
    TRY_VOID(write_fat_state(lane, geometry_, table_, false));
  }
  closed_ = true;
  return {};
}

}  // namespace splitring
