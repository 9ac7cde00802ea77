// Bytes of files of a mounted volume: writing, growing, cutting.
#include <algorithm>
#include <utility>

#include "fs/fat/fat_time.h"
#include "fs/fat/fat_volume_impl.h"

namespace splitring {
namespace {

// A file that grows takes that much more than it needs, until it is closed.
constexpr uint64_t kMostAhead = uint64_t{4} << 20;

}  // namespace

Result<> FatVolume::Impl::load_chain(FatNodeState& file) {
  if (file.has_chain) return {};
  const uint32_t first = file.first_cluster();
  FatChain chain;
  if (first != 0) chain = FatChain::follow(core->table(), core->geometry(), first);
  const std::string where = "the file that begins at cluster " + std::to_string(first);
  if (chain.fault() != nullptr) {
    const std::string what =
        "the chain of " + where + " " + chain.fault() + "; `splitring fat check` says more";
    core->note(what);
    return fail(Errc::kIo, what);
  }
  const uint64_t held = chain.count() * core->geometry().cluster_bytes;
  if (file.slot.size > held) {
    core->note(where + " says that it has " + std::to_string(file.slot.size) +
               " bytes, its clusters hold " + std::to_string(held));
    file.slot.size = static_cast<uint32_t>(held);
  }
  file.chain = std::move(chain);
  file.has_chain = true;
  return {};
}

// The node's facts to its entry.
Result<> FatVolume::Impl::update(BlockQueue& lane, FatNodeState& node) {
  if (node.removed) return {};
  FatDirectory& directory = *TRY(core->directory(lane, node.place.directory));
  FatSlot slot = node.slot;
  slot.name = directory.slot(node.place.own).name;
  slot.nt_bits = directory.slot(node.place.own).nt_bits;
  directory.update(node.place.own, slot);
  return {};
}

// Makes the chain long enough for so many bytes.
Result<> FatVolume::Impl::grow(BlockQueue& lane, FatNodeState& file, uint64_t bytes) {
  // A file that was cut, which is not yet on the disk, must not go on in another way there.
  if (bytes > file.slot.size && file.cut_in_cycle == core->cycles()) TRY_VOID(core->cycle(lane));
  const uint64_t needed = clusters_for(bytes);
  if (needed <= file.chain.count()) return {};
  std::vector<FatRun> taken;
  uint64_t missing = needed - file.chain.count();
  while (missing != 0 && !file.reserved.empty()) {
    FatRun& run = file.reserved.front();
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(run.count, missing));
    taken.push_back({run.first, part});
    missing -= part;
    run = {run.first + part, run.count - part};
    if (run.count == 0) file.reserved.erase(file.reserved.begin());
  }
  const auto give_back = [&] {
    file.reserved.insert(file.reserved.begin(), taken.begin(), taken.end());
  };
  if (missing != 0) {
    const uint64_t ahead =
        std::min({file.chain.count(), kMostAhead / core->geometry().cluster_bytes,
                  uint64_t{core->table().free_count()} / 16});
    const uint32_t after =
        taken.empty() ? file.chain.last() : taken.back().first + taken.back().count - 1;
    auto runs = core->allocate(lane, missing + ahead, after);
    if (!runs && ahead != 0) runs = core->allocate(lane, missing, after);
    if (!runs) {
      give_back();
      return tl::make_unexpected(runs.error());
    }
    for (const FatRun& run : *runs) {
      const auto part = static_cast<uint32_t>(std::min<uint64_t>(run.count, missing));
      if (part != 0) taken.push_back({run.first, part});
      if (part != run.count) file.reserved.push_back({run.first + part, run.count - part});
      missing -= part;
    }
  }
  for (const FatRun& run : taken) {
    core->table().link(file.chain.last(), run);
    file.chain.append(run);
  }
  set_first_cluster(file.slot, file.chain.first());
  return {};
}

// Bytes [offset, offset + in.size()), for which there are clusters.
Result<> FatVolume::Impl::write(BlockQueue& lane, FatNodeState& file, uint64_t offset,
                                std::span<const std::byte> in) {
  if (in.empty()) return {};
  if (offset > kFatMaxFileBytes || in.size() > kFatMaxFileBytes - offset)
    return fail(Errc::kLimit, "a file on FAT has at most 4 GiB - 1 bytes");
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(file));
  const uint64_t end = offset + in.size();
  TRY_VOID(grow(lane, file, end));
  TRY_VOID(fill_gap(lane, file, offset));
  const uint64_t cluster_bytes = core->geometry().cluster_bytes;
  const uint64_t size = std::max<uint64_t>(file.slot.size, end);
  for (uint64_t at = offset; at < end;) {
    const FatRun run = file.chain.at(at / cluster_bytes);
    const uint64_t skipped = at % cluster_bytes;
    const uint64_t part = std::min(end - at, run.count * cluster_bytes - skipped);
    TRY_VOID(core->write_data(lane, core->geometry().offset_of(run.first) + skipped,
                              in.subspan(at - offset, part), at + part == size));
    at += part;
  }
  file.slot.size = static_cast<uint32_t>(size);
  file.slot.attributes |= kFatArchive;
  set_modified(file.slot, fat_now(), core->options().utc);
  TRY_VOID(update(lane, file));
  return core->maybe_cycle(lane);
}

// Zeroes from the file's end to `until`.
Result<> FatVolume::Impl::fill_gap(BlockQueue& lane, FatNodeState& file, uint64_t until) {
  const uint64_t cluster_bytes = core->geometry().cluster_bytes;
  for (uint64_t at = file.slot.size; at < until;) {
    const FatRun run = file.chain.at(at / cluster_bytes);
    const uint64_t skipped = at % cluster_bytes;
    const uint64_t part = std::min(until - at, run.count * cluster_bytes - skipped);
    TRY_VOID(core->zero_data(lane, core->geometry().offset_of(run.first) + skipped, part,
                             at + part == until));
    at += part;
  }
  return {};
}

void FatVolume::Impl::forget_cut() {
  if (cut_in_cycle_ == core->cycles()) return;
  for (FatNodeState* const file : std::exchange(cut_files_, {})) nodes.drop(*file, 1);
}

void FatVolume::Impl::cut(FatNodeState& file, uint64_t bytes) {
  const uint64_t keep = clusters_for(bytes);
  // An empty one begins anew, in other clusters.
  if (bytes != 0 && bytes < file.slot.size && file.cut_in_cycle != core->cycles()) {
    forget_cut();
    file.cut_in_cycle = cut_in_cycle_ = core->cycles();
    file.references++;
    cut_files_.push_back(&file);
  }
  if (keep >= file.chain.count()) return;
  for (const FatRun& run : file.chain.cut(keep)) core->table().free_later(run);
  if (keep != 0) core->table().end_later(file.chain.last());
  set_first_cluster(file.slot, file.chain.first());
}

Result<> FatVolume::Impl::resize(BlockQueue& lane, FatNodeState& file, uint64_t size) {
  if (size > kFatMaxFileBytes)
    return fail(Errc::kLimit, "a file on FAT has at most 4 GiB - 1 bytes");
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(file));
  if (size > file.slot.size) {
    TRY_VOID(grow(lane, file, size));
    TRY_VOID(fill_gap(lane, file, size));
  } else {
    cut(file, size);
  }
  file.slot.size = static_cast<uint32_t>(size);
  file.slot.attributes |= kFatArchive;
  set_modified(file.slot, fat_now(), core->options().utc);
  return update(lane, file);
}

Result<> FatVolume::Impl::preallocate(BlockQueue& lane, FatNodeState& file, uint64_t size) {
  if (size > kFatMaxFileBytes)
    return fail(Errc::kLimit, "a file on FAT has at most 4 GiB - 1 bytes");
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(file));
  uint64_t held = file.chain.count();
  for (const FatRun& run : file.reserved) held += run.count;
  const uint64_t needed = clusters_for(size);
  if (needed <= held) return {};
  const uint32_t after = file.reserved.empty()
                             ? file.chain.last()
                             : file.reserved.back().first + file.reserved.back().count - 1;
  for (const FatRun& run : TRY(core->allocate(lane, needed - held, after)))
    file.reserved.push_back(run);
  return {};
}

void FatVolume::Impl::give_back(FatNodeState& file) {
  for (const FatRun& run : std::exchange(file.reserved, {})) core->table().release(run);
  if (!file.removed) return;
  if (file.has_chain)
    free_chain(std::exchange(file.chain, {}));
  else if (file.first_cluster() != 0)
    free_chain(FatChain::follow(core->table(), core->geometry(), file.first_cluster()));
  set_first_cluster(file.slot, 0);
  file.slot.size = 0;
}

void FatVolume::Impl::close_file(FatNodeState& file) {
  if (--file.opens != 0) return;
  give_back(file);
  nodes.release(file);
}

}  // namespace splitring
