// FatVolume behind its lock: names, renames and bytes each have a file of their own.
//
// In every method the volume's lock is held, unless it says so.
#pragma once

#include <mutex>

#include "fs/fat/fat_core.h"
#include "fs/fat/fat_nodes.h"
#include "fs/fat/fat_volume.h"

namespace splitring {

// The two locks of a change to a file's bytes, taken in their order.
struct FatFileLock {
  std::unique_lock<std::shared_mutex> bytes;
  std::unique_lock<std::mutex> volume;
  FatNodeState* file = nullptr;
};

class FatVolume::Impl {
 public:
  explicit Impl(std::unique_ptr<FatCore> volume) : core(std::move(volume)), nodes(core->root()) {}

  // ---- fat_volume_names.cc
  Result<FatNodeState*> node(FatNode number);
  Result<FatNodeState*> directory_node(FatNode number);
  Result<FatNodeState*> open_node(FatNode number);
  Result<FatFileLock> lock_file(FatNode number);  // neither lock is held
  Result<FatDirectory*> directory_of(BlockQueue& lane, const FatNodeState& node);
  FatStat stat_of(const FatNodeState& node);
  FatStat stat_of(FatNode number, const FatSlot& slot);
  Result<FatNodeState*> lookup(BlockQueue& lane, FatNodeState& directory, std::string_view name);
  Result<FatNodeState*> make(BlockQueue& lane, FatNodeState& parent, std::string_view name,
                             FatSlot slot);
  Result<FatSet> put_entry(BlockQueue& lane, FatDirectory& directory, const FatNewName& name,
                           const FatSlot& slot);
  Result<FatSlot> new_directory(BlockQueue& lane, const FatNodeState& parent);
  Result<> remove(BlockQueue& lane, FatNodeState& parent, std::string_view name, bool is_directory);
  Result<> erase_set(BlockQueue& lane, FatDirectory& directory, FatSet set);
  Result<std::vector<FatEntry>> list(BlockQueue& lane, FatNodeState& directory, uint64_t cookie,
                                     size_t most, References references);
  // What is left of an entry that has gone: its node, its clusters.
  void give_up(FatPlace place, const FatSlot& slot);
  Result<> check_parents(const FatNodeState& directory, uint32_t cluster);

  // The label is an entry of the root, and copied in the boot sector.
  Result<> read_label(BlockQueue& lane);
  Result<> set_label(BlockQueue& lane, std::string_view text);

  // ---- fat_volume_rename.cc
  struct Rename;
  Result<> rename(BlockQueue& lane, FatNodeState& from_node, std::string_view from,
                  FatNodeState& to_node, std::string_view to, Replace replace);

  // ---- fat_volume_files.cc
  // Of these the file's own lock is held as well, as the operation needs it.
  Result<> load_chain(FatNodeState& file);
  Result<> update(BlockQueue& lane, FatNodeState& node);
  Result<> write(BlockQueue& lane, FatNodeState& file, uint64_t offset,
                 std::span<const std::byte> in);
  Result<> resize(BlockQueue& lane, FatNodeState& file, uint64_t size);
  Result<> preallocate(BlockQueue& lane, FatNodeState& file, uint64_t size);
  void close_file(FatNodeState& file);
  // What open files hold besides their chains, and those of removed files.
  void give_back(FatNodeState& file);
  void free_chain(const FatChain& chain);

  std::mutex mutex;
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
  [[nodiscard]] uint64_t clusters_for(uint64_t bytes) const {
    return (bytes + core->geometry().cluster_bytes - 1) / core->geometry().cluster_bytes;
  }
};

void set_first_cluster(FatSlot& slot, uint32_t cluster);
void set_modified(FatSlot& slot, const FatTime& time, bool utc);

}  // namespace splitring
