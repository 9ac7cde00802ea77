// What lies on the disk of a tree store, byte by byte: docs/kv-format.md is this file in prose.
//
// Everything is little-endian, in pages of 4096 bytes whatever the block size of the disk. Nothing
// read from a disk is used before its hash has been compared with the one in its parent's pointer
// and its inner offsets have been checked (page.h): a store may be hostile.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/endian.h"
#include "base/units.h"

namespace splitring::kv {

inline constexpr uint32_t kPageBytes = 4096;
static_assert(kPageBytes == kPageSize);
inline constexpr uint32_t kSectorsOfPage = kPageBytes / kSectorSize;

// XXH3, 128 bits.
struct Hash {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash&) const = default;
};
Hash hash_of(std::span<const std::byte> bytes);
// Of bytes of a store's own: another store's, with the same content, differs.
Hash hash_of(std::span<const std::byte> bytes, uint64_t seed);

// Where a page is, in which generation it was written, and what must be in it. Page 0 holds a
// superblock, so it says "none".
struct Pointer {
  uint64_t page = 0;
  uint64_t birth = 0;
  Hash hash;
  explicit operator bool() const { return page != 0; }
  bool operator==(const Pointer&) const = default;
};

// As it lies in a page; alignment 1.
struct DiskPointer {
  le64 page;
  le64 birth;
  le64 hash_low;
  le64 hash_high;
};
static_assert(sizeof(DiskPointer) == 32 && alignof(DiskPointer) == 1);

// On the paths that are counted in nanoseconds.
template <class T>
[[nodiscard]] inline T load_le(const std::byte* from) {
  static_assert(std::endian::native == std::endian::little, "or swap the bytes here");
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
inline void store_le(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

[[nodiscard]] inline Pointer load_pointer(const std::byte* from) {
  return {.page = load_le<uint64_t>(from),
          .birth = load_le<uint64_t>(from + 8),
          .hash = {load_le<uint64_t>(from + 16), load_le<uint64_t>(from + 24)}};
}
inline void store_pointer(std::byte* to, const Pointer& pointer) {
  store_le(to, pointer.page);
  store_le(to + 8, pointer.birth);
  store_le(to + 16, pointer.hash.low);
  store_le(to + 24, pointer.hash.high);
}

// ---- superblock: in the first 512 bytes of pages 0, 1 and of the last two
// ------------------------- Generation g lies in pages g % 2 and last - 1 + g % 2: each twice, the
// one before untouched.
inline constexpr uint64_t kSuperMagic = 0x766b676e69727073;  // "springkv"
inline constexpr uint32_t kFormatVersion = 1;

// Bits that this program does not know: read nothing; write nothing; never mind.
struct FeatureFlags {
  le64 incompatible;
  le64 read_only_compatible;
  le64 compatible;
};

// Where a page of the space map is: which of its two places, and what must be in it. All zero:
// never written, every page below it is free.
struct DiskMapPointer {
  le64 hash_low;
  le64 hash_high;
  le64 generation;
  le32 free_pages;  // of a bitmap; of a table: 0
  uint8_t place = 0;
  uint8_t reserved[3] = {};
};
static_assert(sizeof(DiskMapPointer) == 32 && alignof(DiskMapPointer) == 1);

struct DiskSuperblock {
  le64 magic;
  le32 version;
  le32 page_bytes;
  FeatureFlags features;
  le64 store_id_low;  // random, of this store
  le64 store_id_high;
  le64 generation;
  le64 pages;  // of the whole store
  le64 ring_first;
  le64 ring_pages;
  le64 map_first;
  le64 map_pages;
  le64 data_first;
  le64 ring_position;  // what must be replayed begins here
  le64 ring_hash_low;  // of the batch before it
  le64 ring_hash_high;
  le64 sequence;  // of the last transaction in the trees
  DiskPointer catalogue;
  le32 catalogue_level;
  le32 reserved_level;
  DiskMapPointer map_root;
  le64 leaf_pages;
  le64 inner_pages;
  le64 value_pages;
  uint8_t reserved[512 - 16 - 24 - 8 * 13 - 32 - 8 - 32 - 24 - 16] = {};
  le64 hash_low;  // of all before it
  le64 hash_high;
};
static_assert(sizeof(DiskSuperblock) == 512 && alignof(DiskSuperblock) == 1);

// ---- tree pages (page.h reads them)
// ----------------------------------------------------------------
inline constexpr uint8_t kLeafPage = 1;
inline constexpr uint8_t kInnerPage = 2;
struct DiskPageHeader {
  uint8_t kind = 0;
  uint8_t level = 0;  // 0 of a leaf
  le16 count;
  le16 prefix_bytes;
  le16 heap;  // offset of the first byte of the lowest cell
  le64 page;  // its own number
  le64 birth;
  le64 reserved;
};
static_assert(sizeof(DiskPageHeader) == 32 && alignof(DiskPageHeader) == 1);
// An entry's slot: the first four bytes of its key behind the page's prefix as a big-endian number,
// the offset of its cell, the length of its key behind the prefix.
inline constexpr size_t kSlotBytes = 8;

// ---- ring
// ------------------------------------------------------------------------------------------
inline constexpr uint32_t kBatchMagic = 0x74616273;  // "sbat"
struct DiskBatch {
  le32 magic;
  le32 bytes;  // with this header, without the padding to a block
  le64 position;
  le64 durable_position;  // what lies before it was durable when this was written
  le64 last_sequence;
  le64 previous_hash_low;
  le64 previous_hash_high;
  le64 hash_low;  // of the batch with these two zero, seeded with the store's id
  le64 hash_high;
};
static_assert(sizeof(DiskBatch) == 64 && alignof(DiskBatch) == 1);
struct DiskTransaction {
  le32 bytes;  // of its changes, without this header
  le32 changes;
  le64 sequence;
};
static_assert(sizeof(DiskTransaction) == 16 && alignof(DiskTransaction) == 1);
struct DiskChange {
  uint8_t kind = 0;
  uint8_t reserved = 0;
  le16 key_bytes;
  le32 payload_bytes;
};
static_assert(sizeof(DiskChange) == 8 && alignof(DiskChange) == 1);

// ---- what stands behind a key
// --------------------------------------------------------------------- A payload is one byte of
// flags, then what the flags say.
inline constexpr uint8_t kHasTime = 1;    // 8 bytes: seconds since 1970
inline constexpr uint8_t kElsewhere = 2;  // 8 bytes each: number, length of the value, last change
inline constexpr size_t kMaxInlineBytes = 1024;
inline constexpr size_t kMaxPayloadBytes = 1 + 8 + kMaxInlineBytes;

// A segment of a value that lies elsewhere: payload of key {number, offset}, both big-endian, of
// the tree kSegmentTree.
struct DiskSegment {
  le64 page;
  le64 birth;
  le32 bytes;
  le32 reserved;
  le64 hash_low;
  le64 hash_high;
};
static_assert(sizeof(DiskSegment) == 40 && alignof(DiskSegment) == 1);
inline constexpr uint32_t kSegmentBytes = 128U << 10;

// A key in a page: its tree's number, big-endian, then the user's key. In memory and in the ring a
// branch's number stands before it, big-endian.
inline constexpr size_t kTreeBytes = 4;
inline constexpr size_t kBranchBytes = 4;
inline constexpr size_t kMaxUserKeyBytes = 1024;
inline constexpr size_t kMaxPageKeyBytes = kTreeBytes + kMaxUserKeyBytes;
inline constexpr uint32_t kNameTree = 0;               // names of trees
inline constexpr uint32_t kFirstTree = 16;             // of a user
inline constexpr uint32_t kSegmentTree = 0xffff'ffff;  // last, so that it is merged last
inline constexpr uint32_t kCatalogueBranch = 0;        // branches and snapshots
inline constexpr uint32_t kMainBranch = 1;

}  // namespace splitring::kv
