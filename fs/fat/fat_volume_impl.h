// FatVolume behind its lock: names, renames and bytes each have a file of their own.
//
// In every method the volume's lock is held, unless it says so.
#pragma once

#include <algorithm>
#include <mutex>

#include "fs/fat/fat_core.h"
#include "fs/fat/fat_lock.h"
#include "fs/fat/fat_nodes.h"
#include "fs/fat/fat_time.h"
#include "fs/fat/fat_volume.h"

namespace splitring {

// The two locks of a change to a file's bytes, taken in their order.
struct FatFileLock {
  std::unique_lock<std::shared_mutex> bytes;
  std::unique_lock<FatLock> volume;
  FatNodeState* file = nullptr;
};

class FatVolume::Impl {
 public:
  explicit Impl(std::unique_ptr<FatCore> volume)
      : core(std::move(volume)), nodes(core->disk().root()) {}

  // ---- fat_volume_names.cc
  Result<FatNodeState*> node(FatNode number);
  Result<FatNodeState*> directory_node(FatNode number);
  Result<FatNodeState*> open_node(FatNode number);
  Result<FatFileLock> lock_file(FatNode number);  // neither lock is held
  Result<FatDirectory*> directory_of(BlockQueue& lane, const FatNodeState& node);
  FatStat stat_of(const FatNodeState& node);
  FatStat stat_of(FatNode number, const FatFacts& facts);
  Result<FatNodeState*> lookup(BlockQueue& lane, FatNodeState& directory, std::string_view name);
  Result<FatNodeState*> make(BlockQueue& lane, FatNodeState& parent, std::string_view name,
                             FatFacts facts);
  // A name, and then its entry. What of `parent` changes by that is durable no later.
  Result<FatSet> put_entry(BlockQueue& lane, FatNodeState& parent, FatDirectory& directory,
                           const FatNewName& name, const FatFacts& facts);
  Result<FatSet> make_room(BlockQueue& lane, FatNodeState& node, FatDirectory& directory,
                           uint32_t count);
  Result<FatFacts> new_directory(BlockQueue& lane, const FatNodeState& parent);
  Result<> remove(BlockQueue& lane, FatNodeState& parent, std::string_view name, bool is_directory);
  Result<> erase_set(BlockQueue& lane, FatDirectory& directory, FatSet set);
  Result<std::vector<FatEntry>> list(BlockQueue& lane, FatNodeState& directory, uint64_t cookie,
                                     size_t most, References references);
  // What is left of an entry that has gone: its node, its clusters.
  Result<> give_up(BlockQueue& lane, FatPlace place, const FatFacts& facts);
  Result<> check_parents(const FatNodeState& directory, uint32_t cluster);

  // The label is an entry of the root, and copied in the boot sector.
  Result<> read_label(BlockQueue& lane);
  Result<> set_label(BlockQueue& lane, std::string_view text);

  // ---- fat_volume_rename.cc
  struct Rename;
  Result<> rename(BlockQueue& lane, FatNodeState& from_node, std::string_view from,
                  FatNodeState& to_node, std::string_view to, Replace replace);
  // From here on nothing stands in its way but the disk.
  Result<FatSet> move_entry(BlockQueue& lane, Rename& rename);
  Result<> may_replace(BlockQueue& lane, const Rename& rename, std::string_view to);
  // An entry that cannot be changed at once goes to another place in its directory, with new facts.
  Result<FatSet> relocate(BlockQueue& lane, FatNodeState& parent, FatSet set,
                          const FatFacts& facts);

  // ---- fat_volume_files.cc
  // Of these the file's own lock is held as well, as the operation needs it.
  Result<> load_chain(BlockQueue& lane, FatNodeState& file);
  Result<> update(BlockQueue& lane, FatNodeState& node);
  Result<> write(BlockQueue& lane, FatNodeState& file, uint64_t offset,
                 std::span<const std::byte> in);
  Result<> resize(BlockQueue& lane, FatNodeState& file, uint64_t size);
  Result<> preallocate(BlockQueue& lane, FatNodeState& file, uint64_t size);
  Result<> close_file(BlockQueue& lane, FatNodeState& file);
  // What open files hold besides their chains, and those of removed files.
  Result<> give_back(BlockQueue& lane, FatNodeState& file);
  void free_chain(const FatChain& chain);

  // Calls visit(offset on the disk, offset in the file, bytes) for every row of a file's clusters
  // between two offsets, which it has clusters for.
  template <class Visit>
  Result<> for_each_piece(const FatNodeState& file, uint64_t from, uint64_t until, Visit&& visit) {
    const FatClusters& clusters = core->clusters();
    while (from < until) {
      const FatRun run = file.chain.at(from / clusters.cluster_bytes);
      const uint64_t skipped = from % clusters.cluster_bytes;
      const uint64_t part =
          std::min<uint64_t>(until - from, uint64_t{run.count} * clusters.cluster_bytes - skipped);
      TRY_VOID(visit(clusters.offset_of(run.first) + skipped, from, part));
      from += part;
    }
    return {};
  }

  [[nodiscard]] FatStamp stamp(const FatTime& time) const {
    FatStamp stamp = fat_stamp(time, core->options().utc || core->limits().keeps_time_zone);
    if (core->limits().keeps_time_zone) stamp.zone = kFatZoneKnown;  // and none away
    return stamp;
  }
  [[nodiscard]] FatStamp now() const { return stamp(fat_now()); }

  FatLock mutex;
  std::unique_ptr<FatCore> core;
  FatNodes nodes;
  std::string label;
  uint64_t marked_in_cycle = UINT64_MAX;  // a rename's mark was cleared: durable after that cycle

 private:
  // Files that were cut are known until that is durable, whoever forgets them (grow()).
  std::vector<FatNodeState*> cut_files_;
  uint64_t cut_in_cycle_ = 0;

  Result<> grow(BlockQueue& lane, FatNodeState& file, uint64_t bytes);
  Result<> fill_gap(BlockQueue& lane, FatNodeState& file, uint64_t until);
  void cut(FatNodeState& file, uint64_t bytes);
  void forget_cut();
  Result<> link(BlockQueue& lane, FatNodeState& file, FatRun run);
  void touch(FatNodeState& file);
};

}  // namespace splitring
