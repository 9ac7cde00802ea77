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
  FatFacts facts;                       // of the new entry
  std::optional<FatSet> over = {};      // the entry to replace
  std::optional<FatNewName> name = {};  // if there is none
  FatFacts replaced = {};               // what was there

  [[nodiscard]] bool same_directory() const { return &from_directory == &to_directory; }

  // In one sector. Nothing: that cannot be; else where the new entry is.
  std::optional<FatSet> try_at_once() {
    if (!same_directory() || !from.in_one_atom()) return std::nullopt;
    if (over) {
      if (over->atom() != from.atom()) return std::nullopt;
      from_directory.erase_own(from);
      to_directory.update(over->own, facts);
      return over;
    }
    const auto place = to_directory.find_place(name->slots, from);
    if (!place || !place->in_one_atom() || place->atom() != from.atom()) return std::nullopt;
    from_directory.erase_own(from);
    to_directory.put_own(*place, *name, facts);
    return place;
  }

  Result<FatSet> in_steps(Impl& volume, BlockQueue& lane) {
    const FatFacts old = from_directory.facts(from.own);
    FatFacts marked = old;
    marked.mark = FatMark::kRenamedFrom;
    from_directory.update(from.own, marked);
    TRY_VOID(volume.core->cycle(lane));
    FatFacts moved = facts;
    moved.mark = FatMark::kRenamedTo;
    FatSet place;
    if (over) {
      place = *over;
      to_directory.update(place.own, moved);
    } else {
      const auto put = volume.put_entry(lane, to_node, to_directory, *name, moved);
      if (!put) {
        from_directory.update(from.own, old);
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
    if (!facts.is_directory() || same_directory()) return {};
    FatDirectory& moved = *TRY(volume.core->directory(lane, facts));
    moved.set_parent(to_node.parent == nullptr ? 0 : to_node.facts.first_cluster);
    return {};
  }
};

namespace {

std::string quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

}  // namespace

Result<FatSet> FatVolume::Impl::move_entry(BlockQueue& lane, Rename& rename) {
  auto place = rename.try_at_once();
  const bool at_once = place.has_value();
  if (!at_once) {
    // Two marks of one file are a pair: those of earlier renames have to be gone. A mount may not
    // have met all of them yet; empty files, which have no cluster, it cannot tell apart.
    if (rename.facts.first_cluster == 0) TRY_VOID(core->recover_names(lane));
    if (marked_in_cycle == core->cycles()) TRY_VOID(core->cycle(lane));
    place = TRY(rename.in_steps(*this, lane));
  }
  const FatPlace old_place{rename.from_directory.cluster(), rename.from.own};
  const FatPlace new_place{rename.to_directory.cluster(), place->own};
  if (rename.over) TRY_VOID(give_up(lane, new_place, rename.replaced));
  TRY_VOID(rename.tell_parent(*this, lane));
  if (!at_once) {
    TRY_VOID(core->cycle(lane));
    rename.to_directory.update(place->own, rename.facts);
    marked_in_cycle = core->cycles();
  }
  if (FatNodeState* const node = nodes.find(old_place)) {
    nodes.move(*node, rename.to_node, new_place);
    node->facts = rename.facts;
  }
  return *place;
}

Result<FatSet> FatVolume::Impl::relocate(BlockQueue& lane, FatNodeState& parent, FatSet set,
                                         const FatFacts& facts) {
  FatDirectory& directory = *TRY(directory_of(lane, parent));
  const std::u16string name = directory.name_of(set);
  Rename rename{.from_node = parent,
                .to_node = parent,
                .from_directory = directory,
                .to_directory = directory,
                .from = set,
                .facts = facts};
  rename.name = directory.respelled(set, TRY(directory.new_name(name)));
  return move_entry(lane, rename);
}

// What is to be replaced: nothing, a file by a file, or an empty directory by a directory.
Result<> FatVolume::Impl::may_replace(BlockQueue& lane, const Rename& rename, std::string_view to) {
  if (rename.replaced.is_directory() != rename.facts.is_directory())
    return fail(Errc::kExists, quoted(to) + (rename.facts.is_directory()
                                                 ? " is a file, a directory cannot replace it"
                                                 : " is a directory, a file cannot replace it"));
  if (!rename.replaced.is_directory()) return {};
  TRY_VOID(check_parents(rename.to_node, rename.replaced.first_cluster));
  if (!TRY(core->directory(lane, rename.replaced))->is_empty())
    return fail(Errc::kBusy, quoted(to) + ": the directory is not empty");
  return {};
}

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
                .facts = from_directory.facts(source->own)};
  auto target = to_directory.find(to_name);
  const bool is_itself = target && rename.same_directory() && target->own == source->own;
  if (rename.facts.is_directory() && !rename.same_directory()) {
    for (const FatNodeState* at = &to_node; at != nullptr; at = at->parent)
      if (at->facts.first_cluster == rename.facts.first_cluster)
        return fail(Errc::kInvalid, quoted(from) + " cannot be moved into itself");
  }
  if (is_itself && from_directory.name_of(*source) == to_name) return {};
  if (target && !is_itself) {
    if (replace == Replace::kRefuse) return fail(Errc::kExists, quoted(to) + " exists");
    rename.replaced = to_directory.facts(target->own);
    TRY_VOID(may_replace(lane, rename, to));
    if (!to_directory.updates_at_once(target->own))
      target = TRY(relocate(lane, to_node, *target, rename.replaced));
    rename.over = target;
  } else {
    if (to_directory.was_erased(to_name)) TRY_VOID(core->cycle(lane));
    rename.name = TRY(to_directory.new_name(to_name));
    if (is_itself) rename.name = to_directory.respelled(*source, *rename.name);
  }
  TRY(move_entry(lane, rename));
  return {};
}

}  // namespace splitring
