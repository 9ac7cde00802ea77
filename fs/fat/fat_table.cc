#include "fs/fat/fat_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "fs/disk_bytes.h"
#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr uint32_t kBitsPerWord = 64;
constexpr uint32_t kEntryMask = 0x0fffffff;  // of FAT32: the rest is reserved, and kept

uint32_t byte_at(const std::vector<std::byte>& bytes, uint64_t offset) {
  return std::to_integer<uint32_t>(bytes[offset]);
}

}  // namespace

Result<> FatTable::load(BlockQueue& lane) {
  bytes_.assign(geometry_.fat_used_bytes, std::byte{0});
  const uint64_t offset = geometry_.fat_offset + geometry_.active_fat * geometry_.fat_bytes;
  TRY_VOID(read_disk_bytes(lane, offset, bytes_));
  dirty_.assign(geometry_.fat_used_bytes / kFatAtomBytes / kBitsPerWord + 1, 0);
  free_.assign(end() / kBitsPerWord + 1, 0);
  free_count_ = 0;
  for (uint32_t cluster = 2; cluster < end(); cluster++)
    if (get(cluster) == kFatFree) set_free_bit(cluster, true);
  return {};
}

uint64_t FatTable::entry_offset(uint32_t cluster) const {
  switch (geometry_.type) {
    case FatType::kFat12: return cluster + cluster / 2;
    case FatType::kFat16: return uint64_t{cluster} * 2;
    case FatType::kFat32: return uint64_t{cluster} * 4;
  }
  return 0;
}

// The geometry has made sure that every cluster's entry lies in bytes_ as a whole.
uint32_t FatTable::get(uint32_t cluster) const {
  assert(cluster < end());
  const uint64_t at = entry_offset(cluster);
  uint32_t value = byte_at(bytes_, at) | byte_at(bytes_, at + 1) << 8;
  if (geometry_.type == FatType::kFat12) {
    value = cluster % 2 == 0 ? value & 0xfff : value >> 4;
    if (value >= 0xff7) value |= 0x0ffff000;
  } else if (geometry_.type == FatType::kFat16) {
    if (value >= 0xfff7) value |= 0x0fff0000;
  } else {
    value |= byte_at(bytes_, at + 2) << 16 | (byte_at(bytes_, at + 3) & 0x0f) << 24;
  }
  return value > kFatBad ? kFatEnd : value;
}

void FatTable::set(uint32_t cluster, uint32_t value) {
  assert(cluster < end() && value <= kEntryMask);
  const uint64_t at = entry_offset(cluster);
  const auto put = [&](uint64_t offset, uint32_t byte) {
    bytes_[offset] = static_cast<std::byte>(byte);
  };
  if (geometry_.type == FatType::kFat12) {
    const uint32_t old = byte_at(bytes_, at) | byte_at(bytes_, at + 1) << 8;
    const uint32_t both =
        cluster % 2 == 0 ? (old & 0xf000) | (value & 0xfff) : (old & 0x000f) | (value & 0xfff) << 4;
    put(at, both & 0xff);
    put(at + 1, both >> 8);
    mark_dirty(at, 2);
    return;
  }
  put(at, value & 0xff);
  put(at + 1, value >> 8 & 0xff);
  if (geometry_.type == FatType::kFat32) {
    put(at + 2, value >> 16 & 0xff);
    put(at + 3, (byte_at(bytes_, at + 3) & 0xf0) | (value >> 24 & 0x0f));
  }
  mark_dirty(at, 2);  // entries of two and four bytes do not cross a sector's end
}

void FatTable::mark_dirty(uint64_t offset, uint64_t bytes) {
  for (uint64_t atom = offset / kFatAtomBytes; atom <= (offset + bytes - 1) / kFatAtomBytes;
       atom++) {
    uint64_t& word = dirty_[atom / kBitsPerWord];
    const uint64_t bit = uint64_t{1} << atom % kBitsPerWord;
    if ((word & bit) == 0) dirty_count_++;
    word |= bit;
  }
}

void FatTable::set_free_bit(uint32_t cluster, bool free) {
  uint64_t& word = free_[cluster / kBitsPerWord];
  const uint64_t bit = uint64_t{1} << cluster % kBitsPerWord;
  // Files of a damaged volume may share a cluster, and give it up twice.
  if (((word & bit) != 0) == free) return;
  word ^= bit;
  free ? free_count_++ : free_count_--;
}

bool FatTable::is_free(uint32_t cluster) const {
  return (free_[cluster / kBitsPerWord] >> cluster % kBitsPerWord & 1) != 0;
}

// How many clusters from `first` on are free, up to `most`.
uint32_t FatTable::free_row(uint32_t first, uint32_t most) const {
  uint32_t count = 0;
  while (count < most && first + count < end()) {
    const uint32_t at = first + count;
    const uint64_t word = free_[at / kBitsPerWord] >> at % kBitsPerWord;
    const auto ones = static_cast<uint32_t>(std::countr_one(word));
    count += ones;
    if (ones < kBitsPerWord - at % kBitsPerWord) break;
  }
  return std::min({count, most, end() - first});
}

// The first free cluster at or behind `from`; end() if there is none.
uint32_t FatTable::next_free(uint32_t from) const {
  while (from < end()) {
    const uint64_t word = free_[from / kBitsPerWord] >> from % kBitsPerWord;
    if (word != 0) return std::min(end(), from + static_cast<uint32_t>(std::countr_zero(word)));
    from = (from / kBitsPerWord + 1) * kBitsPerWord;
  }
  return end();
}

// The first row of `wanted` clusters that starts in [from, until), or the longest of those and
// best.
FatRun FatTable::search(uint32_t from, uint32_t until, uint32_t wanted, FatRun best) const {
  for (uint32_t at = next_free(from); at < until; at = next_free(at)) {
    const FatRun row{at, free_row(at, wanted)};
    if (row.count > best.count) best = row;
    if (row.count == wanted) break;
    at += row.count;
  }
  return best;
}

bool FatTable::has_whole_entry(uint32_t cluster) const {
  return geometry_.type != FatType::kFat12 ||
         entry_offset(cluster) % kFatAtomBytes != kFatAtomBytes - 1;
}

FatRun FatTable::take(uint32_t wanted, uint32_t after, bool whole_entries) {
  FatRun run;
  if (wanted == 0 || free_count_ == 0) return run;
  if (after != 0 && after + 1 < end() && is_free(after + 1))
    run = {after + 1, free_row(after + 1, wanted)};
  if (run.count == 0) {
    run = search(next_, end(), wanted, run);
    if (run.count < wanted) run = search(2, next_, wanted, run);
  }
  if (whole_entries) {
    while (run.first < end() && !has_whole_entry(run.first)) run.first = next_free(run.first + 1);
    if (run.first >= end()) return {};
    run.count = 1;
  }
  for (uint32_t i = 0; i < run.count; i++) set_free_bit(run.first + i, false);
  next_ = run.first + run.count < end() ? run.first + run.count : 2;
  return run;
}

void FatTable::release(FatRun run) {
  for (uint32_t i = 0; i < run.count; i++) set_free_bit(run.first + i, true);
  next_ = std::min(next_, run.first);
}

void FatTable::link(uint32_t tail, FatRun run) {
  for (uint32_t i = 0; i + 1 < run.count; i++) set(run.first + i, run.first + i + 1);
  set(run.first + run.count - 1, kFatEnd);
  if (tail != 0) set(tail, run.first);
}

void FatTable::free_later(FatRun run) {
  if (run.count == 0) return;
  pending_.push_back(run);
  pending_count_ += run.count;
}

void FatTable::end_later(uint32_t tail) { ends_.insert(tail); }

void FatTable::apply_frees() {
  for (const uint32_t tail : ends_) set(tail, kFatEnd);
  ends_.clear();
  for (const FatRun& run : pending_)
    for (uint32_t i = 0; i < run.count; i++) set(run.first + i, kFatFree);
  applied_.insert(applied_.end(), pending_.begin(), pending_.end());
  pending_.clear();
}

std::vector<FatRun> FatTable::finish_frees() {
  for (const FatRun& run : applied_) {
    release(run);
    pending_count_ -= run.count;
  }
  return std::exchange(applied_, {});
}

Result<> FatTable::write(BlockQueue& lane) {
  if (dirty_count_ == 0) return {};
  FatWriteBatch batch;
  for (uint32_t copy = 0; copy < geometry_.fat_count; copy++) {
    if (!geometry_.mirrored && copy != geometry_.active_fat) continue;
    for (size_t word = 0; word < dirty_.size(); word++) {
      for (uint64_t bits = dirty_[word]; bits != 0; bits &= bits - 1) {
        const uint64_t atom = word * kBitsPerWord + static_cast<uint64_t>(std::countr_zero(bits));
        batch.add(geometry_.fat_offset + copy * geometry_.fat_bytes + atom * kFatAtomBytes,
                  std::span(bytes_).subspan(atom * kFatAtomBytes, kFatAtomBytes));
      }
    }
  }
  TRY_VOID(batch.run(lane));
  std::ranges::fill(dirty_, 0);
  dirty_count_ = 0;
  return {};
}

Result<uint64_t> FatTable::sync_copies(BlockQueue& lane, bool repair) {
  uint64_t differing = 0;
  if (!geometry_.mirrored) return differing;
  std::vector<std::byte> other(bytes_.size());
  for (uint32_t copy = 0; copy < geometry_.fat_count; copy++) {
    if (copy == geometry_.active_fat) continue;
    const uint64_t offset = geometry_.fat_offset + copy * geometry_.fat_bytes;
    TRY_VOID(read_disk_bytes(lane, offset, other));
    FatWriteBatch batch;
    for (uint64_t at = 0; at < bytes_.size(); at += kFatAtomBytes) {
      const auto ours = std::span<const std::byte>(bytes_).subspan(at, kFatAtomBytes);
      if (std::ranges::equal(ours, std::span(other).subspan(at, kFatAtomBytes))) continue;
      differing++;
      if (repair) batch.add(offset + at, ours);
    }
    TRY_VOID(batch.run(lane));
  }
  return differing;
}

bool FatTable::clean_mark() const {
  if (geometry_.type == FatType::kFat12) return true;
  const uint32_t mark = geometry_.type == FatType::kFat16 ? 0x80 : 0x08;
  const uint64_t at = geometry_.type == FatType::kFat16 ? 3 : 7;
  return (byte_at(bytes_, at) & mark) != 0;
}

void FatTable::set_clean_mark(bool clean) {
  if (geometry_.type == FatType::kFat12 || clean_mark() == clean) return;
  const uint64_t at = geometry_.type == FatType::kFat16 ? 3 : 7;
  bytes_[at] ^= geometry_.type == FatType::kFat16 ? std::byte{0x80} : std::byte{0x08};
  mark_dirty(at, 1);
}

void FatTable::set_next_hint(uint32_t cluster) {
  next_ = geometry_.is_cluster(cluster) ? cluster : 2;
}

}  // namespace splitring
