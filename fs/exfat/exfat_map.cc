#include "fs/exfat/exfat_map.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <string>

#include "fs/disk_bytes.h"

namespace splitring {
namespace {

constexpr uint32_t kEntryBytes = sizeof(uint32_t);

}  // namespace

Result<> ExfatMap::load(BlockQueue& lane, uint32_t first_cluster, uint64_t bytes) {
  pages_.clear();
  forget_ends();
  dirty_ = false;
  const uint64_t needed = (uint64_t{geometry_.clusters} + 7) / 8;
  if (bytes < needed)
    return fail(Errc::kInvalid, "no exFAT volume: a bitmap of " + std::to_string(bytes) +
                                    " bytes for " + std::to_string(geometry_.clusters) +
                                    " clusters");
  bitmap_chain_ = TRY(walk(lane, first_cluster, geometry_.clusters_for(needed), false));
  if (bitmap_chain_.fault() != nullptr || bitmap_chain_.count() < geometry_.clusters_for(needed))
    return fail(Errc::kInvalid,
                std::string("no exFAT volume: the chain of its bitmap ") +
                    (bitmap_chain_.fault() != nullptr ? bitmap_chain_.fault() : "is too short"));
  bitmap_.assign(bitmap_chain_.count() * geometry_.cluster_bytes, std::byte{0});
  dirty_atoms_.assign(bitmap_.size() / kFatAtomBytes, false);
  uint64_t at = 0;
  for (const FatRun& run : bitmap_chain_.runs()) {
    const uint64_t length = uint64_t{run.count} * geometry_.cluster_bytes;
    TRY_VOID(read_disk_bytes(lane, geometry_.offset_of(run.first),
                             std::span(bitmap_).subspan(at, length)));
    at += length;
  }
  forget_free();
  for (uint32_t cluster = 2; cluster < geometry_.end_cluster(); cluster++)
    if (!is_used(cluster)) set_free(cluster, true);
  return {};
}

bool ExfatMap::is_used(uint32_t cluster) const {
  const uint32_t bit = cluster - 2;
  return (std::to_integer<uint32_t>(bitmap_[bit / 8]) >> bit % 8 & 1) != 0;
}

void ExfatMap::set_used(uint32_t cluster, bool used) {
  if (is_used(cluster) == used) return;
  const uint32_t bit = cluster - 2;
  bitmap_[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  dirty_atoms_[bit / 8 / kFatAtomBytes] = true;
  dirty_ = true;
}

uint64_t ExfatMap::used_count() const {
  uint64_t used = 0;
  for (uint32_t cluster = 2; cluster < geometry_.end_cluster(); cluster++)
    used += is_used(cluster) ? 1 : 0;
  return used;
}

// ---- the FAT

Result<ExfatMap::Page*> ExfatMap::page(BlockQueue& lane, uint32_t number) {
  auto& page = pages_[number];
  if (page != nullptr) return page.get();
  auto read = std::make_unique<Page>();
  // The FAT's last page may be short: what is behind it is the reserve in front of the clusters, or
  // these.
  const uint64_t offset = geometry_.fat_offset + uint64_t{number} * kPageBytes;
  const uint64_t length = std::min<uint64_t>(kPageBytes, geometry_.total_bytes - offset);
  const auto done =
      read_disk_bytes(lane, offset, std::as_writable_bytes(std::span(read->entries)).first(length));
  if (!done) {
    pages_.erase(number);
    return tl::make_unexpected(done.error());
  }
  page = std::move(read);
  return page.get();
}

Result<uint32_t> ExfatMap::next(BlockQueue& lane, uint32_t cluster) {
  assert(geometry_.is_cluster(cluster));
  if (is_to_end(cluster)) return kExfatEnd;
  const Page* const found = TRY(page(lane, cluster / kPageEntries));
  return uint32_t{found->entries[cluster % kPageEntries]};
}

Result<> ExfatMap::set_next(BlockQueue& lane, uint32_t cluster, uint32_t next) {
  assert(geometry_.is_cluster(cluster));
  Page* const found = TRY(page(lane, cluster / kPageEntries));
  const uint32_t index = cluster % kPageEntries;
  if (found->entries[index] == next) return {};
  found->entries[index] = next;
  found->dirty_atoms |= 1U << index * kEntryBytes / kFatAtomBytes;
  dirty_ = true;
  return {};
}

// `owned`: the bitmap is there and knows the chain's clusters.
Result<FatChain> ExfatMap::walk(BlockQueue& lane, uint32_t first, uint64_t most, bool owned) {
  FatChain chain;
  uint32_t cluster = first;
  while (chain.count() < most) {
    const char* fault = nullptr;
    if (!geometry_.is_cluster(cluster))
      fault = cluster == kExfatBad ? "leads into a bad cluster" : "leads out of the volume";
    else if (chain.count() >= geometry_.clusters)
      fault = "never ends";
    else if (owned && !is_used(cluster))
      fault = "leads to a free cluster";
    if (fault != nullptr) {
      chain.set_fault(fault);
      return chain;
    }
    chain.append({cluster, 1});
    cluster = TRY(next(lane, cluster));
    if (cluster == kExfatEnd) return chain;
  }
  return chain;
}

Result<FatChain> ExfatMap::follow(BlockQueue& lane, uint32_t first, uint64_t most) {
  return walk(lane, first, most, true);
}

// ---- changing

void ExfatMap::own(FatRun run) {
  for (uint32_t i = 0; i < run.count; i++) set_used(run.first + i, true);
}

bool ExfatMap::is_owned(FatRun run) const {
  for (uint32_t i = 0; i < run.count; i++)
    if (!is_used(run.first + i)) return false;
  return true;
}

Result<> ExfatMap::link(BlockQueue& lane, uint32_t tail, FatRun run) {
  own(run);
  for (uint32_t i = 0; i + 1 < run.count; i++)
    TRY_VOID(set_next(lane, run.first + i, run.first + i + 1));
  TRY_VOID(set_next(lane, run.first + run.count - 1, kExfatEnd));
  return tail != 0 ? set_next(lane, tail, run.first) : Result<>{};
}

Result<> ExfatMap::apply_frees(BlockQueue& lane) {
  for (const uint32_t tail : ends()) {
    Page* const found = TRY(page(lane, tail / kPageEntries));
    found->entries[tail % kPageEntries] = kExfatEnd;
    found->dirty_atoms |= 1U << tail % kPageEntries * kEntryBytes / kFatAtomBytes;
    dirty_ = true;
  }
  forget_ends();
  for (const FatRun& run : take_pending())
    for (uint32_t i = 0; i < run.count; i++) set_used(run.first + i, false);
  return {};
}

uint64_t ExfatMap::bitmap_offset(uint64_t byte) const {
  const FatRun run = bitmap_chain_.at(byte / geometry_.cluster_bytes);
  return geometry_.offset_of(run.first) + byte % geometry_.cluster_bytes;
}

Result<> ExfatMap::write(BlockQueue& lane) {
  if (!dirty_) return {};
  FatWriteBatch batch;
  for (size_t atom = 0; atom < dirty_atoms_.size(); atom++) {
    if (!dirty_atoms_[atom]) continue;
    batch.add(bitmap_offset(atom * kFatAtomBytes),
              std::span(bitmap_).subspan(atom * kFatAtomBytes, kFatAtomBytes));
  }
  for (const auto& [number, page] : pages_) {
    const auto bytes = std::as_bytes(std::span(page->entries));
    for (uint32_t bits = page->dirty_atoms; bits != 0; bits &= bits - 1) {
      const uint64_t at = uint64_t{kFatAtomBytes} * static_cast<uint32_t>(std::countr_zero(bits));
      batch.add(geometry_.fat_offset + uint64_t{number} * kPageBytes + at,
                bytes.subspan(at, kFatAtomBytes));
    }
  }
  TRY_VOID(batch.run(lane));
  dirty_atoms_.assign(dirty_atoms_.size(), false);
  for (auto& [number, page] : pages_) page->dirty_atoms = 0;
  dirty_ = false;
  return {};
}

}  // namespace splitring
