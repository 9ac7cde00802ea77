// A directory in memory: all its slots as on the disk, an index of its names, and what of it has to
// be written. What FAT and exFAT have in common of that; how names and facts are spelled in slots
// is FatSlotDirectory's and ExfatDirectory's.
//
// An entry is a set of slots, of which one is its own: where it is, the entry is. A new set is
// placed within one sector of the disk (an "atom" of 16 slots) where it fits, so that it appears or
// goes at once; where it does not, the slots in the atom of its own come last and go first. Slots
// never move.
//
// Not thread-safe. It does not touch the disk, but for load() and the writes.
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
#include "fs/fat/fat_clusters.h"
#include "fs/fat/fat_facts.h"
#include "fs/fat/fat_io.h"
#include "fs/fat/fat_name.h"

namespace splitring {

// The slots of an entry: [first, last].
struct FatSet {
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t own = 0;  // the first or the last
  [[nodiscard]] bool in_one_atom() const {
    return first / kFatSlotsPerAtom == last / kFatSlotsPerAtom;
  }
  [[nodiscard]] uint32_t atom() const { return own / kFatSlotsPerAtom; }
  bool operator==(const FatSet&) const = default;
};

// How a new entry is to be called.
struct FatNewName {
  std::u16string name;
  FatShortName short_name{};  // of FAT
  uint8_t nt_bits = 0;        // the same
  uint32_t slots = 1;
};

class FatDirectory {
 public:
  virtual ~FatDirectory() = default;
  FatDirectory(const FatDirectory&) = delete;
  FatDirectory& operator=(const FatDirectory&) = delete;

  // Reads and indexes it. True: there is something behind its end, where there must be nothing
  // before the end may move: write_scrubbed() first.
  Result<bool> load(BlockQueue& lane);
  // Of a new one instead: empty, to be written as a whole by write_new().
  virtual void start(const FatFacts& itself, uint32_t parent_cluster) = 0;
  // It moved: where its parent begins.
  virtual void set_parent(uint32_t /*cluster*/) {}

  [[nodiscard]] uint32_t cluster() const { return runs_.empty() ? 0 : runs_.front().first; }
  [[nodiscard]] uint32_t tail() const {
    return runs_.empty() ? 0 : runs_.back().first + runs_.back().count - 1;
  }
  [[nodiscard]] const std::vector<FatRun>& runs() const { return runs_; }
  [[nodiscard]] uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }
  [[nodiscard]] uint64_t bytes() const { return slots_.size() * sizeof(FatSlot); }

  // ---- looking
  [[nodiscard]] std::optional<FatSet> find(std::u16string_view name) const;
  // The first file's or directory's entry whose own slot is at or behind a slot.
  [[nodiscard]] virtual std::optional<FatSet> next(uint32_t from) const = 0;
  [[nodiscard]] bool is_empty() const { return !next(0); }
  // Precondition of these: `own` is an entry's.
  [[nodiscard]] virtual FatSet set_at(uint32_t own) const = 0;
  [[nodiscard]] virtual FatFacts facts(uint32_t own) const = 0;
  [[nodiscard]] virtual std::u16string name_of(FatSet set) const = 0;
  // Another one that it answers to; nothing if the format has none.
  [[nodiscard]] virtual std::u16string short_name_of(FatSet /*set*/) const { return {}; }

  // ---- changing
  // Precondition: nothing here is called that. kNoSpace: there is no short name left.
  virtual Result<FatNewName> new_name(std::u16string_view name) = 0;
  // It is the entry's own name in other case.
  [[nodiscard]] virtual FatNewName respelled(FatSet set, const FatNewName& name) const = 0;
  // A place for so many slots, as if those of `besides` were free. Nothing: it has to grow.
  [[nodiscard]] std::optional<FatSet> find_place(uint32_t count,
                                                 std::optional<FatSet> besides = {}) const;
  void add_cluster(FatRun run);  // of zeroes, on the disk too once write_fresh() has run
  // All slots that do not lie in the own one's atom, and then those: the entry can be found. Over
  // one atom the first does nothing.
  virtual void put_rest(FatSet set, const FatNewName& name) = 0;
  virtual void put_own(FatSet set, const FatNewName& name, const FatFacts& facts) = 0;
  // Same name, other facts, at once. Precondition: updates_at_once(), or nothing but the mark
  // changes.
  virtual void update(uint32_t own, const FatFacts& facts) = 0;
  [[nodiscard]] virtual bool updates_at_once(uint32_t /*own*/) const { return true; }
  void erase_own(FatSet set);   // the entry is gone: its slots in the own one's atom,
  void erase_rest(FatSet set);  // and the others

  // True: a name like this was erased since the last forget_erased(), and may still be on the disk.
  [[nodiscard]] bool was_erased(std::u16string_view name) const;
  void forget_erased() { erased_.clear(); }

  // ---- the volume's label, which is a slot of the root
  [[nodiscard]] virtual std::optional<uint32_t> label_slot() const = 0;
  [[nodiscard]] virtual std::string label_at(uint32_t slot) const = 0;
  // Empty: none. `slot` is a label's, or free.
  virtual Result<> put_label(uint32_t slot, std::string_view label, const FatStamp& now) = 0;

  // ---- writing
  [[nodiscard]] bool is_new() const { return new_; }
  [[nodiscard]] bool has_fresh() const { return !fresh_.empty(); }
  [[nodiscard]] bool dirty() const { return !dirty_atoms_.empty(); }
  void write_new(FatWriteBatch& batch);  // all of it: nothing refers to it yet
  void write_dirty(FatWriteBatch& batch);
  Result<> write_fresh(BlockQueue& lane);
  Result<> write_scrubbed(BlockQueue& lane);

 protected:
  // `runs`: its clusters in order; empty: the `fixed_bytes` at `fixed_offset` (FAT12's and FAT16's
  // root).
  FatDirectory(const FatClusters& clusters, std::vector<FatRun> runs, uint64_t fixed_offset = 0,
               uint64_t fixed_bytes = 0);

  [[nodiscard]] const FatSlot& raw(uint32_t index) const { return slots_[index]; }
  void put(uint32_t index, const FatSlot& slot);
  [[nodiscard]] uint32_t end() const { return end_; }  // the first slot that was never used
  void index_names(FatSet set, bool add);
  void mark_new() { new_ = true; }

  [[nodiscard]] virtual bool is_free(const FatSlot& slot) const = 0;
  [[nodiscard]] virtual FatSlot freed(FatSlot slot) const = 0;
  // Whether a set of an atom's slots may begin at a slot, and which one is its own.
  [[nodiscard]] virtual FatSet set_of(uint32_t first, uint32_t count) const = 0;
  [[nodiscard]] virtual bool may_begin_at(uint32_t /*slot*/, uint32_t /*count*/) const {
    return true;
  }
  // As names are compared.
  [[nodiscard]] virtual std::u16string folded(std::u16string_view name) const = 0;

 private:
  [[nodiscard]] uint64_t offset_of_atom(uint32_t atom) const;
  [[nodiscard]] std::span<const std::byte> atom_bytes(uint32_t atom) const;
  void touch(uint32_t slot);
  void free_slots(FatSet set, bool in_own_atom);
  [[nodiscard]] bool is_usable(uint32_t slot, const std::optional<FatSet>& besides) const;
  [[nodiscard]] std::optional<FatSet> place_in_atom(uint32_t atom, uint32_t count,
                                                    const std::optional<FatSet>& besides) const;

  FatClusters clusters_;
  std::vector<FatRun> runs_;
  uint64_t fixed_offset_;
  std::vector<FatSlot> slots_;
  uint32_t end_ = 0;
  bool new_ = false;
  std::unordered_multimap<uint64_t, uint32_t> by_name_;  // hash of a folded name to own slot
  std::unordered_set<uint64_t> erased_;                  // hashes of folded names
  mutable std::vector<uint32_t> first_fit_;  // for so many slots: no atom below has room
  std::vector<bool> is_dirty_;
  std::vector<uint32_t> dirty_atoms_;
  std::vector<FatRun> fresh_;
};

}  // namespace splitring
