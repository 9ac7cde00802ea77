// Names of a mounted volume: looking them up, listing, making and removing.
#include <algorithm>

#include "fs/fat/fat_time.h"
#include "fs/fat/fat_volume_impl.h"

namespace splitring {
namespace {

FatFlags flags_of(const FatSlot& slot) {
  const auto has = [&](uint8_t bit) { return (slot.attributes & bit) != 0; };
  return {.read_only = has(kFatReadOnly),
          .hidden = has(kFatHidden),
          .system = has(kFatSystem),
          .archive = has(kFatArchive)};
}

uint32_t first_cluster(const FatSlot& slot) {
  return uint32_t{slot.cluster_high} << 16 | slot.cluster_low;
}

std::string text_of(std::u16string_view name) { return fat_utf8(name).value_or("_"); }

}  // namespace

void set_first_cluster(FatSlot& slot, uint32_t cluster) {
  slot.cluster_low = static_cast<uint16_t>(cluster & 0xffff);
  slot.cluster_high = static_cast<uint16_t>(cluster >> 16);
}

void set_modified(FatSlot& slot, const FatTime& time, bool utc) {
  const FatStamp stamp = fat_stamp(time, utc);
  slot.modified_date = stamp.date;
  slot.modified_time = stamp.time;
}

Result<FatNodeState*> FatVolume::Impl::node(FatNode number) {
  if (FatNodeState* found = nodes.find(number)) return found;
  return fail(Errc::kNotFound, "no such node");
}

Result<FatNodeState*> FatVolume::Impl::directory_node(FatNode number) {
  FatNodeState* const found = TRY(node(number));
  if (!found->is_directory()) return fail(Errc::kInvalid, "a file holds no names");
  if (found->removed) return fail(Errc::kNotFound, "the directory was removed");
  return found;
}

Result<FatNodeState*> FatVolume::Impl::open_node(FatNode number) {
  FatNodeState* const found = TRY(node(number));
  if (found->is_directory()) return fail(Errc::kInvalid, "a directory has no bytes");
  if (found->opens == 0) return fail(Errc::kInvalid, "the file is not open");
  return found;
}

Result<FatFileLock> FatVolume::Impl::lock_file(FatNode number) {
  FatFileLock lock;
  lock.volume = std::unique_lock(mutex);
  lock.file = TRY(open_node(number));
  lock.volume.unlock();  // it stays: the caller has it open
  lock.bytes = std::unique_lock(lock.file->io);
  lock.volume.lock();
  return lock;
}

Result<FatDirectory*> FatVolume::Impl::directory_of(BlockQueue& lane, const FatNodeState& node) {
  return core->directory(lane, node.first_cluster());
}

FatStat FatVolume::Impl::stat_of(FatNode number, const FatSlot& slot) {
  const bool utc = core->options().utc;
  const uint64_t cluster_bytes = core->geometry().cluster_bytes;
  FatStat stat;
  stat.node = number;
  stat.is_directory = slot.is_directory();
  stat.flags = flags_of(slot);
  stat.modified = fat_time({.date = slot.modified_date, .time = slot.modified_time}, utc);
  stat.created = fat_time(
      {.date = slot.created_date, .time = slot.created_time, .tens_of_ms = slot.created_10ms}, utc);
  stat.accessed = fat_time({.date = slot.accessed_date}, utc);
  if (!stat.is_directory) {
    stat.size = slot.size;
    stat.allocated_bytes = clusters_for(slot.size) * cluster_bytes;
    return stat;
  }
  const uint32_t first = first_cluster(slot);
  stat.size = first == 0 ? core->geometry().root_bytes
                         : FatChain::follow(core->table(), core->geometry(), first,
                                            kFatMaxDirectoryBytes / kFatAtomBytes)
                                   .count() *
                               cluster_bytes;
  stat.allocated_bytes = stat.size;
  return stat;
}

FatStat FatVolume::Impl::stat_of(const FatNodeState& node) {
  FatStat stat = stat_of(node.node, node.slot);
  if (node.has_chain) {
    uint64_t clusters = node.chain.count();
    for (const FatRun& run : node.reserved) clusters += run.count;
    stat.allocated_bytes = clusters * core->geometry().cluster_bytes;
  }
  return stat;
}

// A directory that is one of its own parents would never end.
Result<> FatVolume::Impl::check_parents(const FatNodeState& directory, uint32_t cluster) {
  bool loops = !core->geometry().is_cluster(cluster);
  for (const FatNodeState* at = &directory; at != nullptr; at = at->parent)
    loops = loops || at->first_cluster() == cluster;
  if (!loops) return {};
  const std::string what = "a directory begins at cluster " + std::to_string(cluster) +
                           ", where it cannot; `splitring fat check` says more";
  core->note(what);
  return fail(Errc::kIo, what);
}

Result<FatNodeState*> FatVolume::Impl::lookup(BlockQueue& lane, FatNodeState& directory,
                                              std::string_view name) {
  if (name == "." || name == "..") {
    FatNodeState& found =
        name == "." || directory.parent == nullptr ? directory : *directory.parent;
    found.references++;
    return &found;
  }
  const std::u16string checked = TRY(fat_checked_name(name));
  FatDirectory& slots = *TRY(directory_of(lane, directory));
  const auto set = slots.find(checked);
  if (!set) return fail(Errc::kNotFound, "'" + std::string(name) + "': no such file or directory");
  const FatSlot& slot = slots.slot(set->own);
  if (slot.is_directory()) TRY_VOID(check_parents(directory, first_cluster(slot)));
  return &nodes.get(directory, {slots.cluster(), set->own}, slot);
}

Result<std::vector<FatEntry>> FatVolume::Impl::list(BlockQueue& lane, FatNodeState& directory,
                                                    uint64_t cookie, size_t most,
                                                    References references) {
  FatDirectory& slots = *TRY(directory_of(lane, directory));
  std::vector<FatEntry> entries;
  // A cookie is the number of the slot behind an entry, and slots never move.
  uint64_t from = cookie;
  while (entries.size() < most && from < slots.slots()) {
    const auto set = slots.next(static_cast<uint32_t>(from));
    if (!set) break;
    from = uint64_t{set->own} + 1;
    const FatSlot& slot = slots.slot(set->own);
    const FatPlace place{slots.cluster(), set->own};
    FatEntry entry{.name = text_of(slots.name_of(*set)),
                   .short_name = text_of(fat_shown(slot.name, 0)),
                   .stat = {},
                   .cookie = from};
    FatNodeState* const known = nodes.find(place);
    entry.stat = known != nullptr ? stat_of(*known) : stat_of(FatNode{}, slot);
    entry.stat.node = FatNode{};
    if (references == References::kTake &&
        (!slot.is_directory() || check_parents(directory, first_cluster(slot))))
      entry.stat.node = nodes.get(directory, place, slot).node;
    entries.push_back(std::move(entry));
  }
  return entries;
}

// ---- making

// Over two sectors the long name comes first: until the entry's own slot is there, nobody sees it.
Result<FatSet> FatVolume::Impl::put_entry(BlockQueue& lane, FatDirectory& directory,
                                          const FatNewName& name, const FatSlot& slot) {
  const FatSet place = TRY(core->make_room(lane, directory, name.long_slots + 1));
  directory.put_long(place, name);
  if (!place.in_one_atom() && !directory.is_new()) TRY_VOID(core->cycle(lane));
  FatSlot own = slot;
  own.name = name.short_name;
  own.nt_bits = static_cast<uint8_t>(name.nt_bits | (slot.nt_bits & kFatRenamedTo));
  if (own.name[0] == kFatDeleted) own.name[0] = kFatEscapedE5;
  directory.put_own(place, own);
  return place;
}

Result<FatSlot> FatVolume::Impl::new_directory(BlockQueue& lane, const FatNodeState& parent) {
  const FatRun run = TRY(core->allocate(lane, 1, 0, true)).front();
  core->table().link(0, run);
  FatSlot slot;
  slot.attributes = kFatDirectory;
  set_first_cluster(slot, run.first);
  const FatStamp now = fat_stamp(fat_now(), core->options().utc);
  slot.created_date = slot.modified_date = slot.accessed_date = now.date;
  slot.created_time = slot.modified_time = now.time;
  slot.created_10ms = now.tens_of_ms;
  FatSlot dot = slot;
  dot.name.fill(' ');
  dot.name[0] = '.';
  FatSlot dot_dot = dot;
  dot_dot.name[1] = '.';
  set_first_cluster(dot_dot, parent.parent == nullptr ? 0 : parent.first_cluster());
  auto made = std::make_unique<FatDirectory>(core->geometry(), std::vector<FatRun>{run});
  made->start(dot, dot_dot);
  core->add_directory(std::move(made));
  return slot;
}

Result<FatNodeState*> FatVolume::Impl::make(BlockQueue& lane, FatNodeState& parent,
                                            std::string_view name, FatSlot slot) {
  if (name == "." || name == "..") return fail(Errc::kExists, "'" + std::string(name) + "' exists");
  const std::u16string checked = TRY(fat_checked_name(name));
  core->trim();
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(core->maybe_cycle(lane));
  FatDirectory& directory = *TRY(directory_of(lane, parent));
  if (directory.find(checked)) return fail(Errc::kExists, "'" + std::string(name) + "' exists");
  // The old entry of that name must not be able to appear beside the new one.
  if (directory.was_erased(checked)) TRY_VOID(core->cycle(lane));
  const FatNewName new_name = TRY(directory.new_name(checked));
  if (slot.is_directory()) slot = TRY(new_directory(lane, parent));
  const auto place = put_entry(lane, directory, new_name, slot);
  if (!place) {
    if (slot.is_directory()) {
      core->drop(first_cluster(slot));
      core->table().free_later({first_cluster(slot), 1});
    }
    return tl::make_unexpected(place.error());
  }
  return &nodes.get(parent, {directory.cluster(), place->own}, directory.slot(place->own));
}

// ---- removing

// Over two sectors the entry's own slot goes first.
Result<> FatVolume::Impl::erase_set(BlockQueue& lane, FatDirectory& directory, FatSet set) {
  directory.erase_own(set);
  if (!set.in_one_atom() && !directory.is_new()) TRY_VOID(core->cycle(lane));
  directory.erase_long(set);
  return {};
}

void FatVolume::Impl::give_up(FatPlace place, const FatSlot& slot) {
  FatNodeState* const node = nodes.find(place);
  if (node != nullptr) {
    nodes.remove(*node);
    if (node->opens != 0) return;  // its last close frees the rest
  }
  const uint32_t first = first_cluster(slot);
  if (slot.is_directory()) core->drop(first);
  if (first != 0) free_chain(FatChain::follow(core->table(), core->geometry(), first));
}

void FatVolume::Impl::free_chain(const FatChain& chain) {
  if (chain.fault() != nullptr)
    core->note("the chain at cluster " + std::to_string(chain.first()) + ", now freed, " +
               chain.fault());
  for (const FatRun& run : chain.runs()) core->table().free_later(run);
}

Result<> FatVolume::Impl::remove(BlockQueue& lane, FatNodeState& parent, std::string_view name,
                                 bool is_directory) {
  const std::u16string checked = TRY(fat_checked_name(name));
  core->trim();
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(core->maybe_cycle(lane));
  FatDirectory& directory = *TRY(directory_of(lane, parent));
  const auto set = directory.find(checked);
  const std::string shown = "'" + std::string(name) + "'";
  if (!set) return fail(Errc::kNotFound, shown + ": no such file or directory");
  const FatSlot slot = directory.slot(set->own);
  if (slot.is_directory() != is_directory)
    return fail(Errc::kInvalid, shown + (is_directory ? " is a file" : " is a directory"));
  if (is_directory) {
    TRY_VOID(check_parents(parent, first_cluster(slot)));
    if (!TRY(core->directory(lane, first_cluster(slot)))->is_empty())
      return fail(Errc::kBusy, shown + ": the directory is not empty");
  }
  TRY_VOID(erase_set(lane, directory, *set));
  give_up({directory.cluster(), set->own}, slot);
  return {};
}

// ---- the label

Result<> FatVolume::Impl::read_label(BlockQueue& lane) {
  const FatDirectory& root = *TRY(core->directory(lane, core->root()));
  const auto slot = root.label_slot();
  label = slot ? fat_label_text(root.slot(*slot).name) : "";
  return {};
}

Result<> FatVolume::Impl::set_label(BlockQueue& lane, std::string_view text) {
  const FatShortName name = TRY(fat_label(text));
  TRY_VOID(core->begin_change(lane));
  FatDirectory& root = *TRY(core->directory(lane, core->root()));
  const auto old = root.label_slot();
  FatSlot slot;
  slot.name = name;
  slot.attributes = kFatLabel;
  set_modified(slot, fat_now(), core->options().utc);
  if (text.empty() && old) {
    slot.name[0] = kFatDeleted;
    root.put_label(*old, slot);
  } else if (!text.empty()) {
    root.put_label(old ? *old : TRY(core->make_room(lane, root, 1)).own, slot);
  }
  constexpr std::string_view kNone = "NO NAME    ";
  FatShortName in_boot = name;
  if (text.empty()) std::ranges::copy(kNone, in_boot.begin());
  label = fat_label_text(name);
  TRY_VOID(core->cycle(lane));
  return core->write_label(lane, in_boot);
}

}  // namespace splitring
