#include "fs/fat/fat_core.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "fs/fat/fat_io.h"
#include "fs/tar/disk_bytes.h"

namespace splitring {
namespace {

constexpr size_t kNotesInFull = 100;
constexpr uint64_t kChangesPerCycle = 20'000;
constexpr size_t kDirectoriesKept = 4096;
constexpr size_t kZeroesAtOnce = size_t{64} << 10;

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

FatBootTail tail_of(const FatBootSector& boot, const FatGeometry& geometry) {
  std::array<std::byte, sizeof(FatBootTail)> raw{};
  std::memcpy(raw.data(), reinterpret_cast<const std::byte*>(&boot) + geometry.boot_tail(),
              raw.size());
  return std::bit_cast<FatBootTail>(raw);
}

void set_tail(FatBootSector& boot, const FatGeometry& geometry, const FatBootTail& tail) {
  std::memcpy(reinterpret_cast<std::byte*>(&boot) + geometry.boot_tail(), &tail, sizeof tail);
}

}  // namespace

Result<std::unique_ptr<FatCore>> FatCore::open(BlockQueue& lane, const FatOptions& options) {
  const Geometry disk = lane.geometry();
  FatBootSector boot;
  if (disk.capacity.bytes() < sizeof boot)
    return fail(Errc::kInvalid, "no FAT volume: the disk has no boot sector");
  TRY_VOID(read_disk_bytes(lane, 0, bytes_of(boot)));
  const FatGeometry geometry = TRY(parse_fat_boot_sector(boot, disk.capacity.bytes()));
  auto core = std::unique_ptr<FatCore>(new FatCore(geometry, options));
  core->options_.read_only = options.read_only || disk.read_only;
  TRY_VOID(core->table_.load(lane));
  const FatBootTail tail = tail_of(boot, geometry);
  core->id_ = tail.signature == kFatExtendedSignature ? uint32_t{tail.id} : 0;
  core->was_dirty_ = (tail.state & kFatStateDirty) != 0 || !core->table_.clean_mark();
  TRY_VOID(core->read_hints(lane));
  return core;
}

Result<> FatCore::read_hints(BlockQueue& lane) {
  if (geometry_.info_offset == 0) return {};
  FatInfoSector info;
  TRY_VOID(read_disk_bytes(lane, geometry_.info_offset, bytes_of(info)));
  // Only where to look first: what is free the FAT says.
  if (info.lead == FatInfoSector{}.lead && info.magic == FatInfoSector{}.magic)
    table_.set_next_hint(info.next_free);
  return {};
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
  TRY_VOID(write_state(lane, true));
  marked_dirty_ = true;
  return {};
}

Result<> FatCore::write_state(BlockQueue& lane, bool dirty) {
  table_.set_clean_mark(!dirty);
  TRY_VOID(table_.write(lane));
  FatBootSector boot;
  TRY_VOID(read_disk_bytes(lane, 0, bytes_of(boot)));
  FatBootTail tail = tail_of(boot, geometry_);
  tail.state =
      static_cast<uint8_t>(dirty ? tail.state | kFatStateDirty : tail.state & ~kFatStateDirty);
  set_tail(boot, geometry_, tail);
  TRY_VOID(write_disk_bytes(lane, 0, bytes_of(boot)));
  return lane.flush();
}

Result<> FatCore::write_boot_label(BlockQueue& lane, const FatShortName& label) {
  std::vector<uint64_t> copies{0};
  if (geometry_.backup_offset != 0) copies.push_back(geometry_.backup_offset);
  for (const uint64_t offset : copies) {
    FatBootSector boot;
    TRY_VOID(read_disk_bytes(lane, offset, bytes_of(boot)));
    FatBootTail tail = tail_of(boot, geometry_);
    if (boot.magic != kFatBootMagic || tail.signature != kFatExtendedSignature) continue;
    std::ranges::copy(label, tail.label.begin());
    set_tail(boot, geometry_, tail);
    TRY_VOID(write_disk_bytes(lane, offset, bytes_of(boot)));
  }
  unflushed_ = true;
  return {};
}

Result<> FatCore::write_hints(BlockQueue& lane) {
  if (geometry_.info_offset == 0) return {};
  FatInfoSector info;
  info.free_clusters = table_.free_count();
  info.next_free = table_.next_hint();
  return write_disk_bytes(lane, geometry_.info_offset, bytes_of(info));
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
  if (marked_dirty_) {
    TRY_VOID(write_hints(lane));
    TRY_VOID(lane.flush());
    TRY_VOID(write_state(lane, false));
  }
  closed_ = true;
  return {};
}

}  // namespace splitring
