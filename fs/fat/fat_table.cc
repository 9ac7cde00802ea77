#include "fs/fat/fat_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

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
  dirty_count_ = 0;
  forget_free();
  for (uint32_t cluster = 2; cluster < geometry_.end_cluster(); cluster++)
    if (get(cluster) == kFatFree) set_free(cluster, true);
  return {};
}

uint64_t FatTable::entry_offset(uint32_t cluster) const {
  if (geometry_.type == FatType::kFat12) return cluster + cluster / 2;
  return uint64_t{cluster} * (geometry_.type == FatType::kFat16 ? 2 : 4);
}

// The geometry has made sure that every cluster's entry lies in bytes_ as a whole.
uint32_t FatTable::get(uint32_t cluster) const {
  assert(cluster < geometry_.end_cluster());
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
  assert(cluster < geometry_.end_cluster() && value <= kEntryMask);
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

bool FatTable::has_whole_entry(uint32_t cluster) const {
  return geometry_.type != FatType::kFat12 ||
         entry_offset(cluster) % kFatAtomBytes != kFatAtomBytes - 1;
}

FatChain FatTable::follow(uint32_t first, uint64_t most) const {
  FatChain chain;
  uint32_t cluster = first;
  while (chain.count() < most) {
    const char* fault = nullptr;
    uint32_t following = kFatEnd;
    if (!geometry_.is_cluster(cluster)) {
      fault = cluster == kFatBad ? "leads into a bad cluster"
              : cluster < 2      ? "leads to a free cluster"
                                 : "leads out of the volume";
    } else if (chain.count() >= geometry_.clusters) {
      fault = "never ends";
    } else {
      following = next(cluster);
      if (following == kFatFree) fault = "leads to a free cluster";
    }
    if (fault != nullptr) {
      chain.set_fault(fault);
      return chain;
    }
    chain.append({cluster, 1});
    if (following == kFatEnd) return chain;
    cluster = following;
  }
  return chain;
}

Result<> FatTable::link(BlockQueue& /*lane*/, uint32_t tail, FatRun run) {
  for (uint32_t i = 0; i + 1 < run.count; i++) set(run.first + i, run.first + i + 1);
  set(run.first + run.count - 1, kFatEnd);
  if (tail != 0) set(tail, run.first);
  return {};
}

Result<> FatTable::apply_frees(BlockQueue& /*lane*/) {
  for (const uint32_t tail : ends()) set(tail, kFatEnd);
  forget_ends();
  for (const FatRun& run : take_pending())
    for (uint32_t i = 0; i < run.count; i++) set(run.first + i, kFatFree);
  return {};
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

bool FatTable::is_dirty(uint64_t atom) const {
  return (dirty_[atom / kBitsPerWord] >> atom % kBitsPerWord & 1) != 0;
}

Result<uint64_t> FatTable::compare_copy(BlockQueue& lane, uint32_t copy, uint64_t at,
                                        uint64_t bytes, bool repair) {
  uint64_t differing = 0;
  std::vector<std::byte> other(bytes);
  TRY_VOID(read_disk_bytes(lane, geometry_.fat_offset + copy * geometry_.fat_bytes + at, other));
  for (uint64_t from = 0; from < bytes; from += kFatAtomBytes) {
    const auto ours = std::span<const std::byte>(bytes_).subspan(at + from, kFatAtomBytes);
    if (is_dirty((at + from) / kFatAtomBytes) ||
        std::memcmp(ours.data(), other.data() + from, kFatAtomBytes) == 0)
      continue;
    differing++;
    if (repair) mark_dirty(at + from, kFatAtomBytes);
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

}  // namespace splitring
