// Bytes of files of a mounted volume: writing, growing, cutting.
#include <algorithm>
#include <utility>

#include "fs/fat/fat_volume_impl.h"

namespace splitring {
namespace {

// A file that grows takes that much more than it needs, until it is closed.
constexpr uint64_t kMostAhead = uint64_t{4} << 20;

}  // namespace

Result<> FatVolume::Impl::load_chain(BlockQueue& lane, FatNodeState& file) {
  if (file.has_chain) return {};
  FatFacts& facts = file.facts;
  FatChain chain = TRY(core->chain_of(lane, facts));
  const std::string where =
      "the file that begins at cluster " + std::to_string(facts.first_cluster);
  if (chain.fault() != nullptr) {
    const std::string what =
        "the chain of " + where + " " + chain.fault() + "; `splitring fat check` says more";
    core->note(what);
    return fail(Errc::kIo, what);
  }
  const uint64_t held = chain.count() * core->clusters().cluster_bytes;
  if (facts.size > held) {
    core->note(where + " says that it has " + std::to_string(facts.size) +
               " bytes, its clusters hold " + std::to_string(held));
    facts.size = held;
  }
  facts.valid = std::min(facts.valid, facts.size);
  file.chain = std::move(chain);
  file.has_chain = true;
  return {};
}

// The node's facts to its entry.
Result<> FatVolume::Impl::update(BlockQueue& lane, FatNodeState& node) {
  if (node.removed || node.parent == nullptr) return {};
  FatDirectory& directory = *TRY(directory_of(lane, *node.parent));
  if (!directory.updates_at_once(node.place.own)) {
    TRY(relocate(lane, *node.parent, directory.set_at(node.place.own), node.facts));
    return {};
  }
  directory.update(node.place.own, node.facts);
  return {};
}

void FatVolume::Impl::touch(FatNodeState& file) {
  file.facts.attributes |= kFatArchive;
  file.facts.modified = now();
}

// Clusters that have been taken, to the end of the file's.
Result<> FatVolume::Impl::link(BlockQueue& lane, FatNodeState& file, FatRun run) {
  FatFacts& facts = file.facts;
  const uint32_t tail = file.chain.last();
  if (tail == 0) facts.contiguous = core->limits().needs_no_chain;
  if (facts.contiguous && tail != 0 && tail + 1 != run.first) {
    TRY_VOID(core->map().chain_up(lane, file.chain.runs()));
    facts.contiguous = false;
  }
  if (facts.contiguous)
    core->map().own(run);
  else
    TRY_VOID(core->map().link(lane, tail, run));
  file.chain.append(run);
  facts.first_cluster = file.chain.first();
  return {};
}

// Makes the chain long enough for so many bytes.
Result<> FatVolume::Impl::grow(BlockQueue& lane, FatNodeState& file, uint64_t bytes) {
  // A file that was cut, which is not yet on the disk, must not go on in another way there.
  if (bytes > file.facts.size && file.cut_in_cycle == core->cycles()) TRY_VOID(core->cycle(lane));
  const uint64_t needed = core->clusters().clusters_for(bytes);
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
        std::min({file.chain.count(), kMostAhead / core->clusters().cluster_bytes,
                  uint64_t{core->map().free_count()} / 16});
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
  for (const FatRun& run : taken) TRY_VOID(link(lane, file, run));
  return {};
}

namespace {

tl::unexpected<Error> too_long(uint64_t most) {
  return fail(Errc::kLimit, "a file has at most " + std::to_string(most) + " bytes here");
}

}  // namespace

// Bytes [offset, offset + in.size()).
Result<> FatVolume::Impl::write(BlockQueue& lane, FatNodeState& file, uint64_t offset,
                                std::span<const std::byte> in) {
  if (in.empty()) return {};
  const uint64_t most = core->limits().file_bytes;
  if (offset > most || in.size() > most - offset) return too_long(most);
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(lane, file));
  const uint64_t end = offset + in.size();
  TRY_VOID(grow(lane, file, end));
  TRY_VOID(fill_gap(lane, file, offset));
  FatFacts& facts = file.facts;
  const uint64_t valid = std::max(facts.valid, end);
  TRY_VOID(for_each_piece(file, offset, end, [&](uint64_t at, uint64_t from, uint64_t bytes) {
    return core->write_data(lane, at, in.subspan(from - offset, bytes), from + bytes == valid);
  }));
  facts.size = std::max(facts.size, end);
  facts.valid = valid;
  touch(file);
  TRY_VOID(update(lane, file));
  return core->maybe_cycle(lane);
}

// Zeroes from where the file's bytes end to `until`.
Result<> FatVolume::Impl::fill_gap(BlockQueue& lane, FatNodeState& file, uint64_t until) {
  return for_each_piece(file, file.facts.valid, until,
                        [&](uint64_t at, uint64_t from, uint64_t bytes) {
                          return core->zero_data(lane, at, bytes, from + bytes == until);
                        });
}

void FatVolume::Impl::forget_cut() {
  if (cut_in_cycle_ == core->cycles()) return;
  for (FatNodeState* const file : std::exchange(cut_files_, {})) nodes.drop(*file, 1);
}

void FatVolume::Impl::cut(FatNodeState& file, uint64_t bytes) {
  FatFacts& facts = file.facts;
  const uint64_t keep = core->clusters().clusters_for(bytes);
  // An empty one begins anew, in other clusters.
  if (bytes != 0 && bytes < facts.size && file.cut_in_cycle != core->cycles()) {
    forget_cut();
    file.cut_in_cycle = cut_in_cycle_ = core->cycles();
    file.references++;
    cut_files_.push_back(&file);
  }
  if (keep >= file.chain.count()) return;
  for (const FatRun& run : file.chain.cut(keep)) core->map().free_later(run);
  if (keep != 0 && !facts.contiguous) core->map().end_later(file.chain.last());
  facts.first_cluster = file.chain.first();
  facts.contiguous = facts.contiguous && keep != 0;
}

Result<> FatVolume::Impl::resize(BlockQueue& lane, FatNodeState& file, uint64_t size) {
  const uint64_t most = core->limits().file_bytes;
  if (size > most) return too_long(most);
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(lane, file));
  FatFacts& facts = file.facts;
  if (size > facts.size) {
    TRY_VOID(grow(lane, file, size));
    if (!core->limits().keeps_valid_length) {
      TRY_VOID(fill_gap(lane, file, size));
      facts.valid = size;
    }
  } else {
    cut(file, size);
  }
  facts.size = size;
  facts.valid = std::min(facts.valid, size);
  touch(file);
  return update(lane, file);
}

Result<> FatVolume::Impl::preallocate(BlockQueue& lane, FatNodeState& file, uint64_t size) {
  const uint64_t most = core->limits().file_bytes;
  if (size > most) return too_long(most);
  TRY_VOID(core->begin_change(lane));
  TRY_VOID(load_chain(lane, file));
  uint64_t held = file.chain.count();
  for (const FatRun& run : file.reserved) held += run.count;
  const uint64_t needed = core->clusters().clusters_for(size);
  if (needed <= held) return {};
  const uint32_t after = file.reserved.empty()
                             ? file.chain.last()
                             : file.reserved.back().first + file.reserved.back().count - 1;
  for (const FatRun& run : TRY(core->allocate(lane, needed - held, after)))
    file.reserved.push_back(run);
  return {};
}

Result<> FatVolume::Impl::give_back(BlockQueue& lane, FatNodeState& file) {
  for (const FatRun& run : std::exchange(file.reserved, {})) core->map().release(run);
  if (!file.removed) return {};
  free_chain(file.has_chain ? std::exchange(file.chain, {})
                            : TRY(core->chain_of(lane, file.facts)));
  file.facts.first_cluster = 0;
  file.facts.size = file.facts.valid = 0;
  return {};
}

Result<> FatVolume::Impl::close_file(BlockQueue& lane, FatNodeState& file) {
  if (--file.opens != 0) return {};
  auto done = give_back(lane, file);
  nodes.release(file);
  return done;
}

}  // namespace splitring
