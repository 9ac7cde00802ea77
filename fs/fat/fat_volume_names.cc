// Names of a mounted volume: looking them up, listing, making and removing.
#include <algorithm>

#include "fs/fat/fat_volume_impl.h"

namespace splitring {
namespace {

FatFlags flags_of(const FatFacts& facts) {
  const auto has = [&](uint8_t bit) { return (facts.attributes & bit) != 0; };
  return {.read_only = has(kFatReadOnly),
          .hidden = has(kFatHidden),
          .system = has(kFatSystem),
          .archive = has(kFatArchive)};
}

std::string text_of(std::u16string_view name) { return fat_utf8(name).value_or("_"); }

}  // namespace

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
  return core->directory(lane, node.facts);
}

FatStat FatVolume::Impl::stat_of(FatNode number, const FatFacts& facts) {
  const bool utc = core->options().utc;
  FatStat stat;
  stat.node = number;
  stat.is_directory = facts.is_directory();
  stat.flags = flags_of(facts);
  stat.modified = fat_time(facts.modified, utc);
  stat.created = fat_time(facts.created, utc);
  stat.accessed = fat_time(facts.accessed, utc);
  stat.size = facts.is_directory() ? core->disk().directory_bytes(facts) : facts.size;
  stat.allocated_bytes =
      core->clusters().clusters_for(stat.size) * uint64_t{core->clusters().cluster_bytes};
  return stat;
}

FatStat FatVolume::Impl::stat_of(const FatNodeState& node) {
  FatStat stat = stat_of(node.node, node.facts);
  if (node.has_chain) {
    uint64_t clusters = node.chain.count();
    for (const FatRun& run : node.reserved) clusters += run.count;
    stat.allocated_bytes = clusters * core->clusters().cluster_bytes;
  }
  return stat;
}

// A directory that is one of its own parents would never end.
Result<> FatVolume::Impl::check_parents(const FatNodeState& directory, uint32_t cluster) {
  bool loops = !core->clusters().is_cluster(cluster);
  for (const FatNodeState* at = &directory; at != nullptr; at = at->parent)
    loops = loops || at->facts.first_cluster == cluster;
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
  const FatFacts facts = slots.facts(set->own);
  if (facts.is_directory()) TRY_VOID(check_parents(directory, facts.first_cluster));
  return &nodes.get(directory, {slots.cluster(), set->own}, facts);
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
    from = uint64_t{set->last} + 1;
    const FatFacts facts = slots.facts(set->own);
    const FatPlace place{slots.cluster(), set->own};
    FatEntry entry{.name = text_of(slots.name_of(*set)),
                   .short_name = text_of(slots.short_name_of(*set)),
                   .stat = {},
                   .cookie = from};
    FatNodeState* const known = nodes.find(place);
    entry.stat = known != nullptr ? stat_of(*known) : stat_of(FatNode{}, facts);
    entry.stat.node = FatNode{};
    if (references == References::kTake &&
        (!facts.is_directory() || check_parents(directory, facts.first_cluster)))
      entry.stat.node = nodes.get(directory, place, facts).node;
    entries.push_back(std::move(entry));
  }
  return entries;
}

// ---- making

// A directory whose size its own entry keeps says so there.
Result<FatSet> FatVolume::Impl::make_room(BlockQueue& lane, FatNodeState& node,
                                          FatDirectory& directory, uint32_t count) {
  const FatFacts before = node.facts;
  const FatSet place = TRY(core->make_room(lane, directory, node.facts, count));
  if (node.facts == before || node.parent == nullptr) return place;
  TRY_VOID(update(lane, node));
  return place;
}

// Over two sectors the part that nobody sees comes first.
Result<FatSet> FatVolume::Impl::put_entry(BlockQueue& lane, FatNodeState& parent,
                                          FatDirectory& directory, const FatNewName& name,
                                          const FatFacts& facts) {
  const FatSet place = TRY(make_room(lane, parent, directory, name.slots));
  directory.put_rest(place, name);
  if (!place.in_one_atom() && !directory.is_new()) TRY_VOID(core->cycle(lane));
  directory.put_own(place, name, facts);
  return place;
}

Result<FatFacts> FatVolume::Impl::new_directory(BlockQueue& lane, const FatNodeState& parent) {
  const FatRun run = TRY(core->allocate(lane, 1, 0, true)).front();
  FatFacts facts;
  facts.attributes = kFatDirectory;
  facts.first_cluster = run.first;
  facts.created = facts.modified = facts.accessed = now();
  facts.contiguous = core->limits().needs_no_chain;
  if (core->limits().keeps_directory_size)
    facts.size = facts.valid = core->clusters().cluster_bytes;
  if (facts.contiguous)
    core->map().own(run);
  else
    TRY_VOID(core->map().link(lane, 0, run));
  auto made = core->disk().directory_in({run});
  made->start(facts, parent.parent == nullptr ? 0 : parent.facts.first_cluster);
  core->add_directory(std::move(made));
  return facts;
}

Result<FatNodeState*> FatVolume::Impl::make(BlockQueue& lane, FatNodeState& parent,
                                            std::string_view name, FatFacts facts) {
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
  if (facts.is_directory()) facts = TRY(new_directory(lane, parent));
  const auto place = put_entry(lane, parent, directory, new_name, facts);
  if (!place) {
    if (facts.is_directory()) {
      core->drop(facts.first_cluster);
      core->map().free_later({facts.first_cluster, 1});
    }
    return tl::make_unexpected(place.error());
  }
  return &nodes.get(parent, {directory.cluster(), place->own}, facts);
}

// ---- removing

// Over two sectors the part that everybody sees goes first.
Result<> FatVolume::Impl::erase_set(BlockQueue& lane, FatDirectory& directory, FatSet set) {
  directory.erase_own(set);
  if (!set.in_one_atom() && !directory.is_new()) TRY_VOID(core->cycle(lane));
  directory.erase_rest(set);
  return {};
}

Result<> FatVolume::Impl::give_up(BlockQueue& lane, FatPlace place, const FatFacts& facts) {
  FatNodeState* const node = nodes.find(place);
  if (node != nullptr) {
    nodes.remove(*node);
    if (node->opens != 0) return {};  // its last close frees the rest
  }
  if (facts.is_directory()) core->drop(facts.first_cluster);
  free_chain(TRY(core->chain_of(lane, node != nullptr ? node->facts : facts)));
  return {};
}

void FatVolume::Impl::free_chain(const FatChain& chain) {
  if (chain.fault() != nullptr)
    core->note("the chain at cluster " + std::to_string(chain.first()) + ", now freed, " +
               chain.fault());
  for (const FatRun& run : chain.runs()) core->map().free_later(run);
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
  const FatFacts facts = directory.facts(set->own);
  if (facts.is_directory() != is_directory)
    return fail(Errc::kInvalid, shown + (is_directory ? " is a file" : " is a directory"));
  if (is_directory) {
    TRY_VOID(check_parents(parent, facts.first_cluster));
    if (!TRY(core->directory(lane, facts))->is_empty())
      return fail(Errc::kBusy, shown + ": the directory is not empty");
  }
  TRY_VOID(erase_set(lane, directory, *set));
  return give_up(lane, {directory.cluster(), set->own}, facts);
}

// ---- the label

Result<> FatVolume::Impl::read_label(BlockQueue& lane) {
  const FatDirectory& root = *TRY(directory_of(lane, nodes.root()));
  const auto slot = root.label_slot();
  label = slot ? root.label_at(*slot) : "";
  return {};
}

Result<> FatVolume::Impl::set_label(BlockQueue& lane, std::string_view text) {
  TRY_VOID(core->begin_change(lane));
  FatDirectory& root = *TRY(directory_of(lane, nodes.root()));
  auto slot = root.label_slot();
  if (!slot && !text.empty()) slot = TRY(make_room(lane, nodes.root(), root, 1)).own;
  if (slot) TRY_VOID(root.put_label(*slot, text, now()));
  TRY_VOID(core->cycle(lane));
  TRY_VOID(core->write_label(lane, text));
  return read_label(lane);
}

}  // namespace splitring
