// A directory of FAT12, FAT16 or FAT32. The slots of an entry's long name, if it has one, lie in
// front of its own.
//
// Not thread-safe.
#pragma once

#include "fs/fat/fat_directory.h"
#include "fs/fat/fat_geometry.h"

namespace splitring {

class FatSlotDirectory final : public FatDirectory {
 public:
  // `runs`: its clusters in order; empty for the fixed root of FAT12 and FAT16.
  FatSlotDirectory(const FatGeometry& geometry, std::vector<FatRun> runs)
      : FatDirectory(geometry, std::move(runs), geometry.root_offset, geometry.root_bytes) {}

  void start(const FatFacts& itself, uint32_t parent_cluster) override;
  void set_parent(uint32_t cluster) override;

  [[nodiscard]] const FatSlot& slot(uint32_t index) const { return raw(index); }
  [[nodiscard]] std::optional<FatSet> next(uint32_t from) const override;
  [[nodiscard]] FatSet set_at(uint32_t own) const override;
  [[nodiscard]] FatFacts facts(uint32_t own) const override;
  [[nodiscard]] std::u16string name_of(FatSet set) const override;
  [[nodiscard]] std::u16string short_name_of(FatSet set) const override;

  Result<FatNewName> new_name(std::u16string_view name) override;
  [[nodiscard]] FatNewName respelled(FatSet set, const FatNewName& name) const override;
  void put_rest(FatSet set, const FatNewName& name) override;
  void put_own(FatSet set, const FatNewName& name, const FatFacts& facts) override;
  void update(uint32_t own, const FatFacts& facts) override;

  [[nodiscard]] std::optional<uint32_t> label_slot() const override;
  [[nodiscard]] std::string label_at(uint32_t slot) const override;
  Result<> put_label(uint32_t slot, std::string_view label, const FatStamp& now) override;

  // For the checker: any slot as it is to be.
  void set_slot(uint32_t index, const FatSlot& slot) { put(index, slot); }
  void free_slot(uint32_t index) { put(index, freed(raw(index))); }

 private:
  [[nodiscard]] bool is_free(const FatSlot& slot) const override { return slot.is_free(); }
  [[nodiscard]] FatSlot freed(FatSlot slot) const override;
  [[nodiscard]] FatSet set_of(uint32_t first, uint32_t count) const override {
    return {.first = first, .last = first + count - 1, .own = first + count - 1};
  }
  [[nodiscard]] std::u16string folded(std::u16string_view name) const override {
    return fat_folded(name);
  }
  void put_long(FatSet set, const FatNewName& name, bool in_own_atom);

  std::unordered_map<std::string, uint32_t> tried_numbers_;  // by the first name of their width
};

void set_first_cluster(FatSlot& slot, uint32_t cluster);
[[nodiscard]] inline uint32_t first_cluster(const FatSlot& slot) {
  return uint32_t{slot.cluster_high} << 16 | slot.cluster_low;
}

}  // namespace splitring
