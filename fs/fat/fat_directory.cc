#include "fs/fat/fat_directory.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <functional>

#include "fs/disk_bytes.h"

namespace splitring {
namespace {

uint64_t hash_of(std::u16string_view folded) { return std::hash<std::u16string_view>{}(folded); }

FatSlot as_slot(const FatLongSlot& slot) { return std::bit_cast<FatSlot>(slot); }
FatLongSlot as_long(const FatSlot& slot) { return std::bit_cast<FatLongSlot>(slot); }

std::array<char16_t, kFatUnitsPerSlot> units_of(const FatLongSlot& slot) {
  std::array<char16_t, kFatUnitsPerSlot> units{};
  size_t at = 0;
  for (const le16& unit : slot.units_1) units[at++] = unit;
  for (const le16& unit : slot.units_2) units[at++] = unit;
  for (const le16& unit : slot.units_3) units[at++] = unit;
  return units;
}

// Part `sequence` (from 1) of a name: what follows its end is one zero, then all ones.
FatLongSlot long_slot(std::u16string_view name, uint32_t sequence, bool last, uint8_t checksum) {
  FatLongSlot slot;
  slot.sequence = static_cast<uint8_t>(sequence | (last ? kFatLastLong : 0));
  slot.checksum = checksum;
  size_t at = size_t{sequence - 1} * kFatUnitsPerSlot;
  const auto next = [&] {
    const size_t i = at++;
    return i < name.size() ? name[i] : i == name.size() ? char16_t{0} : char16_t{0xffff};
  };
  for (le16& unit : slot.units_1) unit = next();
  for (le16& unit : slot.units_2) unit = next();
  for (le16& unit : slot.units_3) unit = next();
  return slot;
}

// Ends at the first zero; nothing: there is something behind it, or it may not be shown.
std::optional<std::u16string> trimmed(std::u16string name) {
  name.resize(std::min(name.find(char16_t{0}), name.size()));
  if (!fat_is_showable(name)) return std::nullopt;
  return name;
}

}  // namespace

FatDirectory::FatDirectory(const FatGeometry& geometry, std::vector<FatRun> runs)
    : geometry_(geometry), runs_(std::move(runs)), first_fit_(kFatSlotsPerAtom + 1, 0) {
  uint64_t bytes = geometry.root_bytes;
  if (!runs_.empty()) {
    bytes = 0;
    for (const FatRun& run : runs_) bytes += uint64_t{run.count} * geometry.cluster_bytes;
  }
  slots_.resize(bytes / sizeof(FatSlot));
  is_dirty_.resize(slots_.size() / kFatSlotsPerAtom + 1);
}

Result<bool> FatDirectory::load(BlockQueue& lane) {
  const auto bytes = std::as_writable_bytes(std::span(slots_));
  if (runs_.empty()) {
    TRY_VOID(read_disk_bytes(lane, geometry_.root_offset, bytes));
  } else {
    uint64_t at = 0;
    for (const FatRun& run : runs_) {
      const uint64_t length = uint64_t{run.count} * geometry_.cluster_bytes;
      TRY_VOID(read_disk_bytes(lane, geometry_.offset_of(run.first), bytes.subspan(at, length)));
      at += length;
    }
  }
  end_ = 0;
  while (end_ < slots() && !slots_[end_].is_end()) end_++;
  bool behind_end = false;
  for (uint32_t i = end_; i < slots(); i++) {
    const auto slot = std::as_bytes(std::span(&slots_[i], 1));
    if (std::ranges::all_of(slot, [](std::byte b) { return b == std::byte{0}; })) continue;
    behind_end = true;
    slots_[i] = FatSlot{};
    touch(i);
  }
  for (auto set = next(0); set; set = next(set->own + 1)) index_names(*set, true);
  return behind_end;
}

void FatDirectory::start(const FatSlot& dot, const FatSlot& dot_dot) {
  new_ = true;
  slots_[0] = dot;
  slots_[1] = dot_dot;
  end_ = 2;
}

// ---- looking

FatSet FatDirectory::set_at(uint32_t own) const {
  const uint8_t checksum = fat_checksum(slots_[own].name);
  for (uint32_t part = 1; part <= kFatMaxLongSlots && part <= own; part++) {
    const FatSlot& slot = slots_[own - part];
    if (slot.is_free() || !slot.is_long()) break;
    const FatLongSlot piece = as_long(slot);
    if (piece.checksum != checksum || (piece.sequence & ~kFatLastLong) != part) break;
    if ((piece.sequence & kFatLastLong) == 0) continue;
    const FatSet set{own - part, own};
    std::u16string name;
    for (uint32_t i = own; i-- > set.first;) {
      const auto units = units_of(as_long(slots_[i]));
      name.append(units.begin(), units.end());
    }
    return trimmed(std::move(name)) ? set : FatSet{own, own};
  }
  return {own, own};
}

std::u16string FatDirectory::name_of(FatSet set) const {
  if (set.first == set.own) return fat_shown(slots_[set.own].name, slots_[set.own].nt_bits);
  std::u16string name;
  for (uint32_t i = set.own; i-- > set.first;) {
    const auto units = units_of(as_long(slots_[i]));
    name.append(units.begin(), units.end());
  }
  return trimmed(std::move(name)).value_or(u"_");
}

std::optional<FatSet> FatDirectory::next(uint32_t from) const {
  for (uint32_t i = from; i < end_; i++) {
    const FatSlot& slot = slots_[i];
    if (slot.is_free() || slot.is_long() || slot.is_label() || slot.is_dots()) continue;
    return set_at(i);
  }
  return std::nullopt;
}

std::optional<uint32_t> FatDirectory::label_slot() const {
  for (uint32_t i = 0; i < end_; i++)
    if (!slots_[i].is_free() && slots_[i].is_label() && !slots_[i].is_directory()) return i;
  return std::nullopt;
}

std::optional<FatSet> FatDirectory::find(std::u16string_view name) const {
  const std::u16string folded = fat_folded(name);
  const auto [begin, end] = by_name_.equal_range(hash_of(folded));
  for (auto it = begin; it != end; ++it) {
    const FatSet set = set_at(it->second);
    if (fat_folded(name_of(set)) == folded) return set;
    if (fat_folded(fat_shown(slots_[set.own].name, 0)) == folded) return set;
  }
  return std::nullopt;
}

void FatDirectory::index_names(FatSet set, bool add) {
  const std::u16string shown = fat_folded(fat_shown(slots_[set.own].name, 0));
  std::array<uint64_t, 2> hashes{hash_of(shown), 0};
  size_t count = 1;
  if (set.first != set.own) {
    const std::u16string folded = fat_folded(name_of(set));
    if (folded != shown) hashes[count++] = hash_of(folded);
  }
  for (size_t i = 0; i < count; i++) {
    if (add) {
      by_name_.emplace(hashes[i], set.own);
      continue;
    }
    erased_.insert(hashes[i]);
    const auto [begin, end] = by_name_.equal_range(hashes[i]);
    const auto found = std::find_if(begin, end, [&](auto& e) { return e.second == set.own; });
    if (found != end) by_name_.erase(found);
  }
}

bool FatDirectory::was_erased(std::u16string_view name) const {
  return !erased_.empty() && erased_.contains(hash_of(fat_folded(name)));
}

// ---- changing

Result<FatNewName> FatDirectory::new_name(std::u16string_view name) {
  constexpr uint32_t kMostNumber = 999'999;
  const FatAlias alias = fat_alias(name);
  FatNewName made{.name = std::u16string(name), .short_name = alias.name};
  const auto is_taken = [&](const FatShortName& candidate) {
    const std::u16string shown = fat_shown(candidate, 0);
    return find(shown).has_value() || was_erased(shown);
  };
  if (!alias.needs_long) {
    made.nt_bits = alias.nt_bits;
    return made;
  }
  made.long_slots = (static_cast<uint32_t>(name.size()) + kFatUnitsPerSlot - 1) / kFatUnitsPerSlot;
  if (!alias.lossy && !is_taken(alias.name)) return made;
  // Names that begin alike are numbered on from the last, not searched from 1 again.
  const std::string key(alias.name.begin(), alias.name.end());
  uint32_t& number = next_number_[key];
  for (uint32_t tried = 0; tried < kMostNumber; tried++) {
    number = number % kMostNumber + 1;
    made.short_name = fat_numbered(alias.name, number);
    if (!is_taken(made.short_name)) return made;
  }
  return fail(Errc::kNoSpace, "no short name is left for another one like this");
}

bool FatDirectory::is_usable(uint32_t slot, const std::optional<FatSet>& besides) const {
  return slots_[slot].is_free() || (besides && slot >= besides->first && slot <= besides->own);
}

std::optional<FatSet> FatDirectory::place_in_atom(uint32_t atom, uint32_t count,
                                                  const std::optional<FatSet>& besides) const {
  uint32_t row = 0;
  const uint32_t begin = atom * kFatSlotsPerAtom;
  for (uint32_t i = begin; i < begin + kFatSlotsPerAtom; i++) {
    row = is_usable(i, besides) ? row + 1 : 0;
    if (row == count) return FatSet{i + 1 - count, i};
  }
  return std::nullopt;
}

std::optional<FatSet> FatDirectory::find_place(uint32_t count,
                                               std::optional<FatSet> besides) const {
  const uint32_t atoms = slots() / kFatSlotsPerAtom;
  if (count <= kFatSlotsPerAtom) {
    if (besides && besides->in_one_atom())
      if (const auto place = place_in_atom(besides->own / kFatSlotsPerAtom, count, besides))
        return place;
    for (uint32_t& atom = first_fit_[count]; atom < atoms; atom++)
      if (const auto place = place_in_atom(atom, count, {})) return place;
    return std::nullopt;
  }
  uint32_t row = 0;
  for (uint32_t i = 0; i < slots(); i++) {
    row = slots_[i].is_free() ? row + 1 : 0;
    if (row == count) return FatSet{i + 1 - count, i};
  }
  return std::nullopt;
}

void FatDirectory::add_cluster(FatRun run) {
  if (!runs_.empty() && runs_.back().first + runs_.back().count == run.first)
    runs_.back().count += run.count;
  else
    runs_.push_back(run);
  if (!new_) fresh_.push_back(run);
  slots_.resize(slots_.size() + uint64_t{run.count} * geometry_.cluster_bytes / sizeof(FatSlot));
  is_dirty_.resize(slots_.size() / kFatSlotsPerAtom + 1);
}

void FatDirectory::touch(uint32_t slot) {
  const uint32_t atom = slot / kFatSlotsPerAtom;
  if (is_dirty_[atom]) return;
  is_dirty_[atom] = true;
  dirty_atoms_.push_back(atom);
}

// What was never used ends a directory: slots that are passed over become deleted ones.
void FatDirectory::put(uint32_t index, const FatSlot& slot) {
  assert(index < slots());
  for (; end_ < index; end_++) {
    slots_[end_].name[0] = kFatDeleted;
    touch(end_);
  }
  end_ = std::max(end_, index + 1);
  slots_[index] = slot;
  touch(index);
}

void FatDirectory::put_long(FatSet set, const FatNewName& name) {
  const uint8_t checksum = fat_checksum(name.short_name);
  for (uint32_t part = name.long_slots; part >= 1; part--)
    put(set.own - part, as_slot(long_slot(name.name, part, part == name.long_slots, checksum)));
}

void FatDirectory::put_own(FatSet set, const FatSlot& slot) {
  put(set.own, slot);
  index_names(set_at(set.own), true);
}

void FatDirectory::update(uint32_t own, const FatSlot& slot) { put(own, slot); }

void FatDirectory::put_label(uint32_t index, const FatSlot& slot) { put(index, slot); }

void FatDirectory::erase_own(FatSet set) {
  index_names(set, false);
  FatSlot slot = slots_[set.own];
  slot.name[0] = kFatDeleted;
  put(set.own, slot);
  std::ranges::for_each(
      first_fit_, [&](uint32_t& atom) { atom = std::min(atom, set.first / kFatSlotsPerAtom); });
}

void FatDirectory::erase_long(FatSet set) {
  for (uint32_t i = set.first; i < set.own; i++) {
    FatSlot slot = slots_[i];
    slot.name[0] = kFatDeleted;
    put(i, slot);
  }
}

// ---- writing

uint64_t FatDirectory::offset_of_atom(uint32_t atom) const {
  uint64_t at = uint64_t{atom} * kFatAtomBytes;
  if (runs_.empty()) return geometry_.root_offset + at;
  for (const FatRun& run : runs_) {
    const uint64_t length = uint64_t{run.count} * geometry_.cluster_bytes;
    if (at < length) return geometry_.offset_of(run.first) + at;
    at -= length;
  }
  assert(false && "an atom of the directory");
  return 0;
}

std::span<const std::byte> FatDirectory::atom_bytes(uint32_t atom) const {
  return std::as_bytes(
      std::span(slots_).subspan(size_t{atom} * kFatSlotsPerAtom, kFatSlotsPerAtom));
}

void FatDirectory::write_new(FatWriteBatch& batch) {
  for (uint32_t atom = 0; atom < slots() / kFatSlotsPerAtom; atom++)
    batch.add(offset_of_atom(atom), atom_bytes(atom));
  new_ = false;
  for (const uint32_t atom : dirty_atoms_) is_dirty_[atom] = false;
  dirty_atoms_.clear();
}

void FatDirectory::write_dirty(FatWriteBatch& batch) {
  std::ranges::sort(dirty_atoms_);
  for (const uint32_t atom : dirty_atoms_) {
    batch.add(offset_of_atom(atom), atom_bytes(atom));
    is_dirty_[atom] = false;
  }
  dirty_atoms_.clear();
}

Result<> FatDirectory::write_fresh(BlockQueue& lane) {
  for (const FatRun& run : fresh_)
    TRY_VOID(zero_disk_bytes(lane, geometry_.offset_of(run.first),
                             uint64_t{run.count} * geometry_.cluster_bytes));
  fresh_.clear();
  return {};
}

Result<> FatDirectory::write_scrubbed(BlockQueue& lane) {
  FatWriteBatch batch;
  write_dirty(batch);
  TRY_VOID(batch.run(lane));
  return lane.flush();
}

}  // namespace splitring
