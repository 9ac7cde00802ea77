// A directory in memory: all its slots as on the disk, an index of its names, and what of it has to
// be written.
//
// An entry is a set of slots: those of its long name, if it has one, and its own at the end. A new
// set is placed within one sector of the disk (an "atom" of 16 slots) where it fits, so that it
// appears or goes at once. Slots never move.
//
// Not thread-safe. It does not touch the disk, but for load().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/fat/fat_geometry.h"
#include "fs/fat/fat_io.h"
#include "fs/fat/fat_name.h"
#include "fs/fat/fat_table.h"

namespace splitring {

// The slots of an entry: [first, own].
struct FatSet {
  uint32_t first = 0;
  uint32_t own = 0;
  [[nodiscard]] bool in_one_atom() const {
    return first / kFatSlotsPerAtom == own / kFatSlotsPerAtom;
  }
  bool operator==(const FatSet&) const = default;
};

// How a new entry is to be called.
struct FatNewName {
  std::u16string name;
  FatShortName short_name{};
  uint8_t nt_bits = 0;
  uint32_t long_slots = 0;  // 0: the short name says it all
};

class FatDirectory {
 public:
  // `runs`: its clusters in order; empty for the fixed root of FAT12 and FAT16.
  FatDirectory(const FatGeometry& geometry, std::vector<FatRun> runs);

  // Reads and indexes it. True: there is something behind its end, where there must be nothing
  // before the end may move: write scrub() first.
  Result<bool> load(BlockQueue& lane);
  // Of a new one instead: empty, to be written as a whole by write_new().
  void start(const FatSlot& dot, const FatSlot& dot_dot);

  [[nodiscard]] uint32_t cluster() const { return runs_.empty() ? 0 : runs_.front().first; }
  [[nodiscard]] uint32_t tail() const {
    return runs_.empty() ? 0 : runs_.back().first + runs_.back().count - 1;
  }
  [[nodiscard]] const std::vector<FatRun>& runs() const { return runs_; }
  [[nodiscard]] uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }
  [[nodiscard]] const FatSlot& slot(uint32_t index) const { return slots_[index]; }

  // ---- looking
  [[nodiscard]] std::optional<FatSet> find(std::u16string_view name) const;
  // The first file's or directory's entry at or behind a slot.
  [[nodiscard]] std::optional<FatSet> next(uint32_t from) const;
  [[nodiscard]] std::optional<uint32_t> label_slot() const;
  // Precondition of these: `own` is an entry's.
  [[nodiscard]] FatSet set_at(uint32_t own) const;
  [[nodiscard]] std::u16string name_of(FatSet set) const;
  [[nodiscard]] bool is_empty() const { return !next(0); }

  // ---- changing
  // A short name for it that nothing here has. kNoSpace: there is none left.
  Result<FatNewName> new_name(std::u16string_view name);
  // A place for so many slots, as if those of `besides` were free. Nothing: it has to grow.
  [[nodiscard]] std::optional<FatSet> find_place(uint32_t count,
                                                 std::optional<FatSet> besides = {}) const;
  void add_cluster(FatRun run);  // of zeroes, on the disk too once write_fresh() has run
  void put_long(FatSet set, const FatNewName& name);  // all but its own slot
  void put_own(FatSet set, const FatSlot& slot);      // and the entry can be found
  void update(uint32_t own, const FatSlot& slot);     // same name, other facts
  void erase_own(FatSet set);                         // the entry is gone;
  void erase_long(FatSet set);                        // and this is its name
  void put_label(uint32_t index, const FatSlot& slot);

  // True: a name like this was erased since the last forget_erased(), and may still be on the disk.
  [[nodiscard]] bool was_erased(std::u16string_view name) const;
  void forget_erased() { erased_.clear(); }

  // ---- writing
  [[nodiscard]] bool is_new() const { return new_; }
  [[nodiscard]] bool has_fresh() const { return !fresh_.empty(); }
  [[nodiscard]] bool dirty() const { return !dirty_atoms_.empty(); }
  void write_new(FatWriteBatch& batch);  // all of it: nothing refers to it yet
  void write_dirty(FatWriteBatch& batch);
  Result<> write_fresh(BlockQueue& lane);
  Result<> write_scrubbed(BlockQueue& lane);

 private:
  [[nodiscard]] uint64_t offset_of_atom(uint32_t atom) const;
  [[nodiscard]] std::span<const std::byte> atom_bytes(uint32_t atom) const;
  void touch(uint32_t slot);
  void put(uint32_t index, const FatSlot& slot);
  void index_names(FatSet set, bool add);
  [[nodiscard]] bool is_usable(uint32_t slot, const std::optional<FatSet>& besides) const;
  [[nodiscard]] std::optional<FatSet> place_in_atom(uint32_t atom, uint32_t count,
                                                    const std::optional<FatSet>& besides) const;

  FatGeometry geometry_;
  std::vector<FatRun> runs_;
  std::vector<FatSlot> slots_;
  uint32_t end_ = 0;  // the first slot that was never used
  bool new_ = false;
  std::unordered_multimap<uint64_t, uint32_t> by_name_;    // hash of a folded name to own slot
  std::unordered_map<std::string, uint32_t> next_number_;  // of a short name's beginning
  std::unordered_set<uint64_t> erased_;                    // hashes of folded names
  mutable std::vector<uint32_t> first_fit_;  // for so many slots: no atom below has room
  std::vector<bool> is_dirty_;
  std::vector<uint32_t> dirty_atoms_;
  std::vector<FatRun> fresh_;
};

}  // namespace splitring
