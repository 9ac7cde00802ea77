// A directory of exFAT. An entry is a file slot, which is its own, a stream slot and those of its
// name, with one checksum over all.
//
// New sets are placed so that their first two slots, which hold all facts, lie in one atom. Other
// systems do not care: such a set cannot be changed at once (updates_at_once()), and moves.
//
// Sets that are broken (a wrong checksum, a part missing) are no entries; exfat_check.h mends them.
// Not thread-safe.
#pragma once

#include <memory>

#include "fs/exfat/exfat_layout.h"
#include "fs/exfat/exfat_upcase.h"
#include "fs/fat/fat_directory.h"

namespace splitring {

class ExfatDirectory final : public FatDirectory {
 public:
  ExfatDirectory(const FatClusters& clusters, std::vector<FatRun> runs,
                 std::shared_ptr<const ExfatUpcase> upcase)
      : FatDirectory(clusters, std::move(runs)), upcase_(std::move(upcase)) {}

  void start(const FatFacts& /*itself*/, uint32_t /*parent_cluster*/) override { mark_new(); }

  [[nodiscard]] std::optional<FatSet> next(uint32_t from) const override;
  [[nodiscard]] FatSet set_at(uint32_t own) const override;
  [[nodiscard]] FatFacts facts(uint32_t own) const override;
  [[nodiscard]] std::u16string name_of(FatSet set) const override;

  Result<FatNewName> new_name(std::u16string_view name) override;
  [[nodiscard]] FatNewName respelled(FatSet /*set*/, const FatNewName& name) const override {
    return name;
  }
  void put_rest(FatSet set, const FatNewName& name) override;
  void put_own(FatSet set, const FatNewName& name, const FatFacts& facts) override;
  void update(uint32_t own, const FatFacts& facts) override;
  [[nodiscard]] bool updates_at_once(uint32_t own) const override {
    return own % kFatSlotsPerAtom != kFatSlotsPerAtom - 1;
  }

  [[nodiscard]] std::optional<uint32_t> label_slot() const override;
  [[nodiscard]] std::string label_at(uint32_t slot) const override;
  Result<> put_label(uint32_t slot, std::string_view label, const FatStamp& now) override;

  // ---- for the checker
  [[nodiscard]] const FatSlot& slot(uint32_t index) const { return raw(index); }
  [[nodiscard]] uint32_t end_slot() const { return end(); }
  void free_slot(uint32_t index) { put(index, freed(raw(index))); }
  // What is wrong with the set of a file slot; null: nothing.
  [[nodiscard]] const char* fault_at(uint32_t own) const;
  // Whether new sums make it a sound one.
  [[nodiscard]] bool only_sums_are_wrong(uint32_t own) const;
  void renew_sums(uint32_t own);

 private:
  [[nodiscard]] bool is_free(const FatSlot& slot) const override;
  [[nodiscard]] FatSlot freed(FatSlot slot) const override;
  [[nodiscard]] FatSet set_of(uint32_t first, uint32_t count) const override {
    return {.first = first, .last = first + count - 1, .own = first};
  }
  [[nodiscard]] bool may_begin_at(uint32_t slot, uint32_t /*count*/) const override {
    return updates_at_once(slot);
  }
  [[nodiscard]] std::u16string folded(std::u16string_view name) const override {
    return upcase_->folded(name);
  }
  [[nodiscard]] const char* shape_fault(uint32_t own) const;
  [[nodiscard]] uint16_t checksum(uint32_t own) const;

  std::shared_ptr<const ExfatUpcase> upcase_;
};

// A slot with a label. kInvalid: it is too long, or none.
Result<FatSlot> exfat_label(std::string_view label);

}  // namespace splitring
