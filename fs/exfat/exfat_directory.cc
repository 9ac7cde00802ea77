#include "fs/exfat/exfat_directory.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace splitring {
namespace {

constexpr uint8_t kFreedFile = kExfatFile & ~kExfatInUse;
constexpr size_t kMostLabelUnits = 11;

template <class T>
T as(const FatSlot& slot) {
  return std::bit_cast<T>(slot);
}
template <class T>
FatSlot raw_slot(const T& slot) {
  return std::bit_cast<FatSlot>(slot);
}

uint8_t type_of(const FatSlot& slot) { return slot.name[0]; }
std::span<const uint8_t> bytes_of(const FatSlot& slot) {
  return {reinterpret_cast<const uint8_t*>(&slot), sizeof slot};
}

uint32_t name_slots(size_t units) {
  return static_cast<uint32_t>((units + kExfatUnitsPerSlot - 1) / kExfatUnitsPerSlot);
}

// The sum of one slot more; of the first one without the sum itself.
uint16_t add_to_sum(const FatSlot& slot, bool is_first, uint16_t sum) {
  const auto bytes = bytes_of(slot);
  if (!is_first) return exfat_sum_16(bytes, sum);
  constexpr size_t kSum = offsetof(ExfatFileSlot, checksum);
  return exfat_sum_16(bytes.subspan(kSum + 2), exfat_sum_16(bytes.first(kSum), sum));
}

void set_facts(ExfatFileSlot& file, ExfatStreamSlot& stream, const FatFacts& facts) {
  file.attributes = facts.attributes;
  file.mark = static_cast<uint8_t>(facts.mark);
  file.created_time = facts.created.time;
  file.created_date = facts.created.date;
  file.created_10ms = facts.created.tens_of_ms;
  file.created_zone = facts.created.zone;
  file.modified_time = facts.modified.time;
  file.modified_date = facts.modified.date;
  file.modified_10ms = facts.modified.tens_of_ms;
  file.modified_zone = facts.modified.zone;
  file.accessed_time = facts.accessed.time;
  file.accessed_date = facts.accessed.date;
  file.accessed_zone = facts.accessed.zone;
  const bool contiguous = facts.contiguous && facts.first_cluster != 0;
  stream.flags =
      static_cast<uint8_t>(kExfatAllocationPossible | (contiguous ? kExfatNoFatChain : 0));
  stream.first_cluster = facts.first_cluster;
  stream.bytes = facts.size;
  stream.valid_bytes = facts.valid;
}

FatSlot name_slot(std::u16string_view name, uint32_t part) {
  ExfatNameSlot slot;
  const size_t begin = size_t{part} * kExfatUnitsPerSlot;
  for (size_t i = 0; i < kExfatUnitsPerSlot && begin + i < name.size(); i++)
    slot.units[i] = name[begin + i];
  return raw_slot(slot);
}

}  // namespace

bool ExfatDirectory::is_free(const FatSlot& slot) const {
  return (type_of(slot) & kExfatInUse) == 0;
}

FatSlot ExfatDirectory::freed(FatSlot slot) const {
  slot.name[0] &= static_cast<uint8_t>(~kExfatInUse);
  if (slot.name[0] == 0) slot.name[0] = kFreedFile;  // 0 would end the directory
  return slot;
}

// ---- looking

const char* ExfatDirectory::shape_fault(uint32_t own) const {
  const auto file = as<ExfatFileSlot>(raw(own));
  const uint32_t count = file.secondary_count;
  if (count < kExfatLeastSecondaries || count > kExfatMostSecondaries)
    return "has an absurd number of slots";
  if (own + count >= end() || type_of(raw(own + 1)) != kExfatStream)
    return "has lost a part of its slots";
  const auto stream = as<ExfatStreamSlot>(raw(own + 1));
  const uint32_t names = name_slots(stream.name_units);
  if (stream.name_units == 0 || names + 1 > count) return "has lost a part of its name";
  for (uint32_t i = 2; i <= count; i++) {
    const uint8_t type = type_of(raw(own + i));
    const bool is_benign = (type & (kExfatInUse | kExfatSecondary | kExfatBenign)) ==
                           (kExfatInUse | kExfatSecondary | kExfatBenign);
    if (i < names + 2 ? type != kExfatName : !is_benign) return "has lost a part of its slots";
  }
  const FatSet set{.first = own, .last = own + count, .own = own};
  if (!fat_is_showable(name_of(set))) return "has a name that cannot be";
  return nullptr;
}

const char* ExfatDirectory::fault_at(uint32_t own) const {
  if (const char* const fault = shape_fault(own)) return fault;
  if (as<ExfatFileSlot>(raw(own)).checksum != checksum(own)) return "has a wrong checksum";
  const auto stream = as<ExfatStreamSlot>(raw(own + 1));
  if (stream.name_hash != upcase_->hash(name_of(set_at(own)))) return "has a wrong name hash";
  return nullptr;
}

bool ExfatDirectory::only_sums_are_wrong(uint32_t own) const { return shape_fault(own) == nullptr; }

uint16_t ExfatDirectory::checksum(uint32_t own) const {
  uint16_t sum = 0;
  const uint32_t count = as<ExfatFileSlot>(raw(own)).secondary_count;
  for (uint32_t i = 0; i <= count; i++) sum = add_to_sum(raw(own + i), i == 0, sum);
  return sum;
}

std::optional<FatSet> ExfatDirectory::next(uint32_t from) const {
  for (uint32_t i = from; i < end(); i++)
    if (type_of(raw(i)) == kExfatFile && fault_at(i) == nullptr) return set_at(i);
  return std::nullopt;
}

FatSet ExfatDirectory::set_at(uint32_t own) const {
  return set_of(own, as<ExfatFileSlot>(raw(own)).secondary_count + 1U);
}

std::u16string ExfatDirectory::name_of(FatSet set) const {
  const size_t units = as<ExfatStreamSlot>(raw(set.own + 1)).name_units;
  std::u16string name;
  for (uint32_t i = set.own + 2; i <= set.last && name.size() < units; i++)
    for (const le16& unit : as<ExfatNameSlot>(raw(i)).units) name.push_back(unit);
  name.resize(std::min(name.size(), units));
  return name;
}

FatFacts ExfatDirectory::facts(uint32_t own) const {
  const auto file = as<ExfatFileSlot>(raw(own));
  const auto stream = as<ExfatStreamSlot>(raw(own + 1));
  return {.attributes = static_cast<uint8_t>(file.attributes & 0xff),
          .mark = file.mark <= static_cast<uint8_t>(FatMark::kRenamedTo)
                      ? static_cast<FatMark>(file.mark)
                      : FatMark::kNone,
          .contiguous = (stream.flags & kExfatNoFatChain) != 0,
          .first_cluster = stream.first_cluster,
          .size = stream.bytes,
          .valid = std::min<uint64_t>(stream.valid_bytes, stream.bytes),
          .created = {.date = file.created_date,
                      .time = file.created_time,
                      .tens_of_ms = file.created_10ms,
                      .zone = file.created_zone},
          .modified = {.date = file.modified_date,
                       .time = file.modified_time,
                       .tens_of_ms = file.modified_10ms,
                       .zone = file.modified_zone},
          .accessed = {
              .date = file.accessed_date, .time = file.accessed_time, .zone = file.accessed_zone}};
}

// ---- changing

Result<FatNewName> ExfatDirectory::new_name(std::u16string_view name) {
  return FatNewName{.name = std::u16string(name), .slots = 2 + name_slots(name.size())};
}

void ExfatDirectory::put_rest(FatSet set, const FatNewName& name) {
  for (uint32_t i = set.own + 2; i <= set.last; i++)
    if (i / kFatSlotsPerAtom != set.atom()) put(i, name_slot(name.name, i - set.own - 2));
}

void ExfatDirectory::put_own(FatSet set, const FatNewName& name, const FatFacts& facts) {
  ExfatFileSlot file;
  ExfatStreamSlot stream;
  file.secondary_count = static_cast<uint8_t>(set.last - set.own);
  stream.name_units = static_cast<uint8_t>(name.name.size());
  stream.name_hash = upcase_->hash(name.name);
  set_facts(file, stream, facts);
  put(set.own, raw_slot(file));
  put(set.own + 1, raw_slot(stream));
  for (uint32_t i = set.own + 2; i <= set.last; i++)
    if (i / kFatSlotsPerAtom == set.atom()) put(i, name_slot(name.name, i - set.own - 2));
  file.checksum = checksum(set.own);
  put(set.own, raw_slot(file));
  index_names(set, true);
}

void ExfatDirectory::update(uint32_t own, const FatFacts& facts) {
  auto file = as<ExfatFileSlot>(raw(own));
  auto stream = as<ExfatStreamSlot>(raw(own + 1));
  set_facts(file, stream, facts);
  const FatSlot changed = raw_slot(stream);
  put(own, raw_slot(file));
  if (!std::ranges::equal(bytes_of(changed), bytes_of(raw(own + 1)))) put(own + 1, changed);
  file.checksum = checksum(own);
  put(own, raw_slot(file));
}

void ExfatDirectory::renew_sums(uint32_t own) {
  auto stream = as<ExfatStreamSlot>(raw(own + 1));
  stream.name_hash = upcase_->hash(name_of(set_at(own)));
  put(own + 1, raw_slot(stream));
  auto file = as<ExfatFileSlot>(raw(own));
  file.checksum = checksum(own);
  put(own, raw_slot(file));
}

// ---- the label

std::optional<uint32_t> ExfatDirectory::label_slot() const {
  for (uint32_t i = 0; i < end(); i++)
    if (type_of(raw(i)) == kExfatLabel) return i;
  return std::nullopt;
}

std::string ExfatDirectory::label_at(uint32_t slot) const {
  const auto label = as<ExfatLabelSlot>(raw(slot));
  std::u16string text;
  for (size_t i = 0; i < std::min<size_t>(label.units, kMostLabelUnits); i++)
    text.push_back(label.label[i]);
  return fat_utf8(text).value_or("");
}

Result<FatSlot> exfat_label(std::string_view label) {
  const auto text = fat_utf16(label);
  if (!text || text->size() > kMostLabelUnits || (!text->empty() && !fat_is_showable(*text)))
    return fail(Errc::kInvalid, "'" + std::string(label) + "': a label has at most " +
                                    std::to_string(kMostLabelUnits) +
                                    " characters, as a name may have them");
  ExfatLabelSlot slot;
  slot.units = static_cast<uint8_t>(text->size());
  for (size_t i = 0; i < text->size(); i++) slot.label[i] = (*text)[i];
  return raw_slot(slot);
}

Result<> ExfatDirectory::put_label(uint32_t slot, std::string_view label, const FatStamp& /*now*/) {
  const FatSlot entry = TRY(exfat_label(label));
  put(slot, label.empty() ? freed(entry) : entry);
  return {};
}

}  // namespace splitring
