// Renames of a mounted volume.
//
// Where the old and the new name lie in one sector, both change at once. Else, with nothing more to
// write than that, one after the other and each durable before the next:
//   1. the old entry is marked as one that moves;
//   2. the new entry appears, or takes the place of the one that it replaces, marked as moved here;
//   3. the old entry goes.
// The second mark goes some time later, and before another rename begins. A mount that finds both
// marks does step 3, one that finds either clears it (fs/fat/fat_check.h).
#include "fs/fat/fat_volume_impl.h"

namespace splitring {

struct FatVolume::Impl::Rename {
  FatNodeState& from_node;
  FatNodeState& to_node;
  FatDirectory& from_directory;
  FatDirectory& to_directory;
  FatSet from;
  FatSlot slot;                         // of the old entry
  std::optional<FatSet> over = {};      // the entry to replace
  std::optional<FatNewName> name = {};  // if there is none
  FatSlot replaced = {};                // what was there

  [[nodiscard]] bool same_directory() const { return &from_directory == &to_directory; }

  // The new entry's slot where it replaces one: another file under that name.
  [[nodiscard]] FatSlot slot_over() const {
    FatSlot over_slot = slot;
    over_slot.name = replaced.name;
    over_slot.nt_bits = replaced.nt_bits & (kFatLowerBase | kFatLowerExtension);
    return over_slot;
  }
  // In one sector. Nothing: that cannot be; else where the new entry is.
  std::optional<FatSet> try_at_once() {
    if (!same_directory() || !from.in_one_atom()) return std::nullopt;
    const uint32_t atom = from.own / kFatSlotsPerAtom;
    if (over) {
      if (over->own / kFatSlotsPerAtom != atom) return std::nullopt;
      from_directory.erase_own(from);
      from_directory.erase_long(from);
      to_directory.update(over->own, slot_over());
      return over;
    }
    const auto place = to_directory.find_place(name->long_slots + 1, from);
    if (!place || !place->in_one_atom() || place->own / kFatSlotsPerAtom != atom)
      return std::nullopt;
    from_directory.erase_own(from);
    from_directory.erase_long(from);
    to_directory.put_long(*place, *name);
    FatSlot moved = slot;
    moved.name = name->short_name;
    moved.nt_bits = name->nt_bits;
    to_directory.put_own(*place, moved);
    return place;
  }

  Result<FatSet> in_steps(Impl& volume, BlockQueue& lane) {
    FatSlot marked = slot;
    marked.nt_bits |= kFatRenamedFrom;
    from_directory.update(from.own, marked);
    TRY_VOID(volume.core->cycle(lane));
    FatSet place;
    if (over) {
      place = *over;
      FatSlot moved = slot_over();
      moved.nt_bits |= kFatRenamedTo;
      to_directory.update(place.own, moved);
    } else {
      FatSlot moved = slot;
      moved.nt_bits = kFatRenamedTo;
      const auto put = volume.put_entry(lane, to_directory, *name, moved);
      if (!put) {
        from_directory.update(from.own, slot);
        return put;
      }
      place = *put;
    }
    TRY_VOID(volume.core->cycle(lane));
    TRY_VOID(volume.erase_set(lane, from_directory, from));
    return place;
  }

  // A directory says where its parent is.
  Result<> tell_parent(Impl& volume, BlockQueue& lane) const {
    if (!slot.is_directory() || same_directory()) return {};
    const uint32_t first = uint32_t{slot.cluster_high} << 16 | slot.cluster_low;
    FatDirectory& moved = *TRY(volume.core->directory(lane, first));
    if (moved.slots() < 2 || !moved.slot(1).is_dots()) return {};
    FatSlot dot_dot = moved.slot(1);
    set_first_cluster(dot_dot, to_node.parent == nullptr ? 0 : to_node.first_cluster());
    moved.update(1, dot_dot);
    return {};
  }
};

namespace {

std::string quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

}  // namespace

Result<> FatVolume::Impl::rename(BlockQueue& lane, FatNodeState& from_node, std::string_view from,
                                 FatNodeState& to_node, std::string_view to, Replace replace) {
  const std::u16string from_name = TRY(fat_checked_name(from));
  const std::u16string to_name = TRY(fat_checked_name(to));
  core->trim();
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(core->maybe_cycle(lane));
  FatDirectory& from_directory = *TRY(directory_of(lane, from_node));
  FatDirectory& to_directory = *TRY(directory_of(lane, to_node));
  const auto source = from_directory.find(from_name);
  if (!source) return fail(Errc::kNotFound, quoted(from) + ": no such file or directory");
  Rename rename{.from_node = from_node,
                .to_node = to_node,
                .from_directory = from_directory,
                .to_directory = to_directory,
                .from = *source,
                .slot = from_directory.slot(source->own)};
  const auto target = to_directory.find(to_name);
  const bool is_itself = target && rename.same_directory() && target->own == source->own;
  const uint32_t moved_cluster = uint32_t{rename.slot.cluster_high} << 16 | rename.slot.cluster_low;
  if (rename.slot.is_directory() && !rename.same_directory()) {
    for (const FatNodeState* at = &to_node; at != nullptr; at = at->parent)
      if (at->first_cluster() == moved_cluster)
        return fail(Errc::kInvalid, quoted(from) + " cannot be moved into itself");
  }
  if (is_itself && from_directory.name_of(*source) == to_name) return {};
  if (target && !is_itself) {
    if (replace == Replace::kRefuse) return fail(Errc::kExists, quoted(to) + " exists");
    rename.over = target;
    rename.replaced = to_directory.slot(target->own);
    if (rename.replaced.is_directory() != rename.slot.is_directory())
      return fail(Errc::kExists, quoted(to) + (rename.slot.is_directory()
                                                   ? " is a file, a directory cannot replace it"
                                                   : " is a directory, a file cannot replace it"));
    if (rename.replaced.is_directory()) {
      const uint32_t first =
          uint32_t{rename.replaced.cluster_high} << 16 | rename.replaced.cluster_low;
      TRY_VOID(check_parents(to_node, first));
      if (!TRY(core->directory(lane, first))->is_empty())
        return fail(Errc::kBusy, quoted(to) + ": the directory is not empty");
    }
  } else {
    if (to_directory.was_erased(to_name)) TRY_VOID(core->cycle(lane));
    rename.name = TRY(to_directory.new_name(to_name));
    // Its own short name is not taken by another.
    const FatAlias alias = fat_alias(to_name);
    if (is_itself && !alias.lossy && alias.name == rename.slot.name)
      rename.name->short_name = alias.name;
  }

  auto place = rename.try_at_once();
  const bool at_once = place.has_value();
  if (!at_once) {
    // Two marks are a pair: that of an earlier rename has to be gone.
    if (marked_in_cycle == core->cycles()) TRY_VOID(core->cycle(lane));
    place = TRY(rename.in_steps(*this, lane));
  }
  const FatPlace old_place{from_directory.cluster(), source->own};
  const FatPlace new_place{to_directory.cluster(), place->own};
  if (rename.over) give_up(new_place, rename.replaced);
  TRY_VOID(rename.tell_parent(*this, lane));
  if (!at_once) {
    TRY_VOID(core->cycle(lane));
    FatSlot moved = to_directory.slot(place->own);
    moved.nt_bits = static_cast<uint8_t>(moved.nt_bits & ~kFatRenamedTo);
    to_directory.update(place->own, moved);
    marked_in_cycle = core->cycles();
  }
  if (FatNodeState* const node = nodes.find(old_place)) {
    nodes.move(*node, to_node, new_place);
    node->slot = to_directory.slot(place->own);
  }
  return {};
}

}  // namespace splitring
