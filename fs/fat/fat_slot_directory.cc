#include "fs/fat/fat_slot_directory.h"

#include <algorithm>
#include <array>
#include <bit>

namespace splitring {
namespace {

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

void set_first_cluster(FatSlot& slot, uint32_t cluster) {
  slot.cluster_low = static_cast<uint16_t>(cluster & 0xffff);
  slot.cluster_high = static_cast<uint16_t>(cluster >> 16);
}

namespace {

void set_facts(FatSlot& slot, const FatFacts& facts) {
  slot.attributes = facts.attributes;
  slot.nt_bits = static_cast<uint8_t>(slot.nt_bits & ~(kFatRenamedFrom | kFatRenamedTo));
  if (facts.mark == FatMark::kRenamedFrom) slot.nt_bits |= kFatRenamedFrom;
  if (facts.mark == FatMark::kRenamedTo) slot.nt_bits |= kFatRenamedTo;
  slot.created_10ms = facts.created.tens_of_ms;
  slot.created_time = facts.created.time;
  slot.created_date = facts.created.date;
  slot.accessed_date = facts.accessed.date;
  slot.modified_time = facts.modified.time;
  slot.modified_date = facts.modified.date;
  set_first_cluster(slot, facts.first_cluster);
  slot.size = static_cast<uint32_t>(facts.is_directory() ? 0 : facts.size);
}

}  // namespace

void FatSlotDirectory::start(const FatFacts& itself, uint32_t parent_cluster) {
  mark_new();
  FatSlot dot;
  set_facts(dot, itself);
  dot.name.fill(' ');
  dot.name[0] = '.';
  FatSlot dot_dot = dot;
  dot_dot.name[1] = '.';
  set_first_cluster(dot_dot, parent_cluster);
  put(0, dot);
  put(1, dot_dot);
}

void FatSlotDirectory::set_parent(uint32_t cluster) {
  if (slots() < 2 || !raw(1).is_dots()) return;
  FatSlot dot_dot = raw(1);
  set_first_cluster(dot_dot, cluster);
  put(1, dot_dot);
}

// ---- looking

FatSet FatSlotDirectory::set_at(uint32_t own) const {
  const uint8_t checksum = fat_checksum(raw(own).name);
  for (uint32_t part = 1; part <= kFatMaxLongSlots && part <= own; part++) {
    const FatSlot& slot = raw(own - part);
    if (slot.is_free() || !slot.is_long()) break;
    const FatLongSlot piece = as_long(slot);
    if (piece.checksum != checksum || (piece.sequence & ~kFatLastLong) != part) break;
    if ((piece.sequence & kFatLastLong) == 0) continue;
    const FatSet set{.first = own - part, .last = own, .own = own};
    std::u16string name;
    for (uint32_t i = own; i-- > set.first;) {
      const auto units = units_of(as_long(raw(i)));
      name.append(units.begin(), units.end());
    }
    return trimmed(std::move(name)) ? set : FatSet{.first = own, .last = own, .own = own};
  }
  return {.first = own, .last = own, .own = own};
}

std::u16string FatSlotDirectory::name_of(FatSet set) const {
  if (set.first == set.own) return fat_shown(raw(set.own).name, raw(set.own).nt_bits);
  std::u16string name;
  for (uint32_t i = set.own; i-- > set.first;) {
    const auto units = units_of(as_long(raw(i)));
    name.append(units.begin(), units.end());
  }
  return trimmed(std::move(name)).value_or(u"_");
}

std::optional<FatSet> FatSlotDirectory::next(uint32_t from) const {
  for (uint32_t i = from; i < end(); i++) {
    const FatSlot& slot = raw(i);
    if (slot.is_free() || slot.is_long() || slot.is_label() || slot.is_dots()) continue;
    return set_at(i);
  }
  return std::nullopt;
}

FatFacts FatSlotDirectory::facts(uint32_t own) const {
  const FatSlot& slot = raw(own);
  const uint64_t size = slot.is_directory() ? 0 : uint64_t{slot.size};
  return {.attributes = slot.attributes,
          .mark = (slot.nt_bits & kFatRenamedFrom) != 0 ? FatMark::kRenamedFrom
                  : (slot.nt_bits & kFatRenamedTo) != 0 ? FatMark::kRenamedTo
                                                        : FatMark::kNone,
          .first_cluster = first_cluster(slot),
          .size = size,
          .valid = size,
          .created = {.date = slot.created_date,
                      .time = slot.created_time,
                      .tens_of_ms = slot.created_10ms},
          .modified = {.date = slot.modified_date, .time = slot.modified_time},
          .accessed = {.date = slot.accessed_date}};
}

std::u16string FatSlotDirectory::short_name_of(FatSet set) const {
  return fat_shown(raw(set.own).name, 0);
}

std::optional<uint32_t> FatSlotDirectory::label_slot() const {
  for (uint32_t i = 0; i < end(); i++)
    if (!raw(i).is_free() && raw(i).is_label() && !raw(i).is_directory()) return i;
  return std::nullopt;
}

Result<FatNewName> FatSlotDirectory::new_name(std::u16string_view name) {
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
  made.slots += (static_cast<uint32_t>(name.size()) + kFatUnitsPerSlot - 1) / kFatUnitsPerSlot;
  if (!alias.lossy && !is_taken(alias.name)) return made;
  // Names that are alike as far as a number leaves room are numbered on from the last one. Numbers
  // that have become free are looked for once none is left.
  for (const bool anew : {false, true}) {
    for (uint32_t least = 1; least < kMostNumber; least *= 10) {
      const FatShortName first = fat_numbered(alias.name, least);
      uint32_t& tried = tried_numbers_[std::string(first.begin(), first.end())];
      if (anew) tried = 0;
      while (tried < 9 * least) {
        made.short_name = fat_numbered(alias.name, least + tried++);
        if (!is_taken(made.short_name)) return made;
      }
    }
  }
  return fail(Errc::kNoSpace, "no short name is left for another one like this");
}

FatNewName FatSlotDirectory::respelled(FatSet set, const FatNewName& name) const {
  FatNewName same = name;
  // Its own short name is not taken by another.
  const FatAlias alias = fat_alias(name.name);
  if (!alias.lossy && alias.name == raw(set.own).name) same.short_name = alias.name;
  return same;
}

FatSlot FatSlotDirectory::freed(FatSlot slot) const {
  slot.name[0] = kFatDeleted;
  return slot;
}

void FatSlotDirectory::put_long(FatSet set, const FatNewName& name, bool in_own_atom) {
  const uint8_t checksum = fat_checksum(name.short_name);
  const uint32_t parts = name.slots - 1;
  for (uint32_t part = parts; part >= 1; part--) {
    const uint32_t index = set.own - part;
    if ((index / kFatSlotsPerAtom == set.atom()) == in_own_atom)
      put(index, as_slot(long_slot(name.name, part, part == parts, checksum)));
  }
}

void FatSlotDirectory::put_rest(FatSet set, const FatNewName& name) { put_long(set, name, false); }

void FatSlotDirectory::put_own(FatSet set, const FatNewName& name, const FatFacts& facts) {
  put_long(set, name, true);
  FatSlot slot;
  slot.nt_bits = name.nt_bits;
  set_facts(slot, facts);
  slot.name = name.short_name;
  if (slot.name[0] == kFatDeleted) slot.name[0] = kFatEscapedE5;
  put(set.own, slot);
  index_names(set_at(set.own), true);
}

void FatSlotDirectory::update(uint32_t own, const FatFacts& facts) {
  FatSlot slot = raw(own);
  set_facts(slot, facts);
  put(own, slot);
}

// ---- the label

std::string FatSlotDirectory::label_at(uint32_t slot) const {
  return fat_label_text(raw(slot).name);
}

Result<> FatSlotDirectory::put_label(uint32_t slot, std::string_view label, const FatStamp& now) {
  FatSlot entry;
  entry.name = TRY(fat_label(label));
  entry.attributes = kFatLabel;
  entry.modified_date = now.date;
  entry.modified_time = now.time;
  put(slot, label.empty() ? freed(entry) : entry);
  return {};
}

}  // namespace splitring
