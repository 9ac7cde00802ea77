#include "fs/fat/fat_directory.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>

#include "fs/disk_bytes.h"

namespace splitring {
namespace {

uint64_t hash_of(std::u16string_view folded) { return std::hash<std::u16string_view>{}(folded); }

}  // namespace

FatDirectory::FatDirectory(const FatClusters& clusters, std::vector<FatRun> runs,
                           uint64_t fixed_offset, uint64_t fixed_bytes)
    : clusters_(clusters),
      runs_(std::move(runs)),
      fixed_offset_(fixed_offset),
      first_fit_(kFatSlotsPerAtom + 1, 0) {
  uint64_t bytes = fixed_bytes;
  if (!runs_.empty()) {
    bytes = 0;
    for (const FatRun& run : runs_) bytes += uint64_t{run.count} * clusters.cluster_bytes;
  }
  slots_.resize(bytes / sizeof(FatSlot));
  is_dirty_.resize(slots_.size() / kFatSlotsPerAtom + 1);
}

Result<bool> FatDirectory::load(BlockQueue& lane) {
  const auto bytes = std::as_writable_bytes(std::span(slots_));
  if (runs_.empty()) {
    TRY_VOID(read_disk_bytes(lane, fixed_offset_, bytes));
  } else {
    uint64_t at = 0;
    for (const FatRun& run : runs_) {
      const uint64_t length = uint64_t{run.count} * clusters_.cluster_bytes;
      TRY_VOID(read_disk_bytes(lane, clusters_.offset_of(run.first), bytes.subspan(at, length)));
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
  for (auto set = next(0); set; set = next(set->last + 1)) index_names(*set, true);
  return behind_end;
}

// ---- looking

std::optional<FatSet> FatDirectory::find(std::u16string_view name) const {
  const std::u16string wanted = folded(name);
  const auto [begin, end] = by_name_.equal_range(hash_of(wanted));
  for (auto it = begin; it != end; ++it) {
    const FatSet set = set_at(it->second);
    if (folded(name_of(set)) == wanted || folded(short_name_of(set)) == wanted) return set;
  }
  return std::nullopt;
}

void FatDirectory::index_names(FatSet set, bool add) {
  const std::u16string name = folded(name_of(set));
  const std::u16string other = folded(short_name_of(set));
  std::array<uint64_t, 2> hashes{hash_of(name), 0};
  size_t count = 1;
  if (!other.empty() && other != name) hashes[count++] = hash_of(other);
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
  return !erased_.empty() && erased_.contains(hash_of(folded(name)));
}

// ---- changing

bool FatDirectory::is_usable(uint32_t slot, const std::optional<FatSet>& besides) const {
  return is_free(slots_[slot]) || (besides && slot >= besides->first && slot <= besides->last);
}

std::optional<FatSet> FatDirectory::place_in_atom(uint32_t atom, uint32_t count,
                                                  const std::optional<FatSet>& besides) const {
  uint32_t row = 0;
  const uint32_t begin = atom * kFatSlotsPerAtom;
  for (uint32_t i = begin; i < begin + kFatSlotsPerAtom; i++) {
    row = is_usable(i, besides) ? row + 1 : 0;
    if (row == count) return set_of(i + 1 - count, count);
  }
  return std::nullopt;
}

std::optional<FatSet> FatDirectory::find_place(uint32_t count,
                                               std::optional<FatSet> besides) const {
  const uint32_t atoms = slots() / kFatSlotsPerAtom;
  if (count <= kFatSlotsPerAtom) {
    if (besides && besides->in_one_atom())
      if (const auto place = place_in_atom(besides->atom(), count, besides)) return place;
    for (uint32_t& atom = first_fit_[count]; atom < atoms; atom++)
      if (const auto place = place_in_atom(atom, count, {})) return place;
    return std::nullopt;
  }
  uint32_t row = 0;
  for (uint32_t i = 0; i < slots(); i++) {
    row = is_free(slots_[i]) ? row + 1 : 0;
    if (row >= count && may_begin_at(i + 1 - count, count)) return set_of(i + 1 - count, count);
  }
  return std::nullopt;
}

void FatDirectory::add_cluster(FatRun run) {
  if (!runs_.empty() && runs_.back().first + runs_.back().count == run.first)
    runs_.back().count += run.count;
  else
    runs_.push_back(run);
  if (!new_) fresh_.push_back(run);
  slots_.resize(slots_.size() + uint64_t{run.count} * clusters_.cluster_bytes / sizeof(FatSlot));
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
    slots_[end_] = freed(slots_[end_]);
    touch(end_);
  }
  end_ = std::max(end_, index + 1);
  slots_[index] = slot;
  touch(index);
}

void FatDirectory::free_slots(FatSet set, bool in_own_atom) {
  for (uint32_t i = set.first; i <= set.last; i++)
    if ((i / kFatSlotsPerAtom == set.atom()) == in_own_atom) put(i, freed(slots_[i]));
  for (uint32_t& atom : first_fit_) atom = std::min(atom, set.first / kFatSlotsPerAtom);
}

void FatDirectory::erase_own(FatSet set) {
  index_names(set, false);
  free_slots(set, true);
}

void FatDirectory::erase_rest(FatSet set) { free_slots(set, false); }

// ---- writing

uint64_t FatDirectory::offset_of_atom(uint32_t atom) const {
  uint64_t at = uint64_t{atom} * kFatAtomBytes;
  if (runs_.empty()) return fixed_offset_ + at;
  for (const FatRun& run : runs_) {
    const uint64_t length = uint64_t{run.count} * clusters_.cluster_bytes;
    if (at < length) return clusters_.offset_of(run.first) + at;
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
    TRY_VOID(zero_disk_bytes(lane, clusters_.offset_of(run.first),
                             uint64_t{run.count} * clusters_.cluster_bytes));
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
