// The bytes of the block protocol: what lies in a ring, in each of the three ABIs, on any host.
//
// Sources: xen/include/public/io/blkif.h and io/protocols.h of Xen 4.17; layouts compiled for 64
// and 32 bits. tests/ring compares every offset with Xen's own headers. All fields are
// little-endian. Nothing in these structs is checked: see ring/blkif_request.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.h"

namespace splitring::blkif {

static_assert(std::endian::native == std::endian::little,
              "fields are read in place: a big-endian host needs byte swaps in this file");

// BLKIF_OP_*. Unscoped values of a byte: a peer may send any of the 256.
inline constexpr uint8_t kOpRead = 0;
inline constexpr uint8_t kOpWrite = 1;
inline constexpr uint8_t kOpWriteBarrier = 2;
inline constexpr uint8_t kOpFlushDiskcache = 3;
inline constexpr uint8_t kOpDiscard = 5;
inline constexpr uint8_t kOpIndirect = 6;

// BLKIF_RSP_*
enum class Status : int16_t { kOkay = 0, kError = -1, kUnsupported = -2 };

inline constexpr uint8_t kDiscardSecure = 1U << 0;  // BLKIF_DISCARD_SECURE

inline constexpr size_t kMaxSegments = 11;      // BLKIF_MAX_SEGMENTS_PER_REQUEST
inline constexpr size_t kMaxIndirectPages = 8;  // BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST
inline constexpr size_t kSegmentBytes = 8;
inline constexpr size_t kSegmentsPerIndirectPage = kPageSize / kSegmentBytes;
inline constexpr size_t kMaxIndirectSegments = kMaxIndirectPages * kSegmentsPerIndirectPage;

// Bits of the `info` node: VDISK_*
inline constexpr uint32_t kInfoCdrom = 1;
inline constexpr uint32_t kInfoRemovable = 2;
inline constexpr uint32_t kInfoReadOnly = 4;

struct Segment {
  uint32_t ref;
  uint8_t first_sector;  // of the page, 0..7
  uint8_t last_sector;   // inclusive
  uint16_t padding;
};
static_assert(sizeof(Segment) == kSegmentBytes);

// x86_64-abi, and arm-abi, which aligns the same way.
struct Wire64 {
  using Word = uint64_t;  // the widest load that every slot is aligned for

  struct Request {
    uint8_t operation;
    uint8_t segment_count;
    uint16_t handle;
    uint32_t padding;
    uint64_t id;
    uint64_t sector;
    std::array<Segment, kMaxSegments> segments;
  };
  struct Discard {
    uint8_t operation;
    uint8_t flags;
    uint16_t handle;
    uint32_t padding;
    uint64_t id;
    uint64_t sector;
    uint64_t sector_count;
  };
  struct Indirect {
    uint8_t operation;
    uint8_t inner_operation;
    uint16_t segment_count;
    uint32_t padding;
    uint64_t id;
    uint64_t sector;
    uint16_t handle;
    uint16_t padding2;
    std::array<uint32_t, kMaxIndirectPages> page_refs;
    uint32_t padding3;
  };
  struct Response {
    uint64_t id;
    uint8_t operation;
    uint8_t padding;
    int16_t status;
    uint32_t padding2;
  };
};

#pragma pack(push, 4)
// x86_32-abi: 64-bit fields are aligned to 4 bytes.
struct Wire32 {
  using Word = uint32_t;

  struct Request {
    uint8_t operation;
    uint8_t segment_count;
    uint16_t handle;
    uint64_t id;
    uint64_t sector;
    std::array<Segment, kMaxSegments> segments;
  };
  struct Discard {
    uint8_t operation;
    uint8_t flags;
    uint16_t handle;
    uint64_t id;
    uint64_t sector;
    uint64_t sector_count;
  };
  struct Indirect {
    uint8_t operation;
    uint8_t inner_operation;
    uint16_t segment_count;
    uint64_t id;
    uint64_t sector;
    uint16_t handle;
    uint16_t padding2;
    std::array<uint32_t, kMaxIndirectPages> page_refs;
    uint64_t padding3;
  };
  struct Response {
    uint64_t id;
    uint8_t operation;
    uint8_t padding;
    int16_t status;
  };
};
#pragma pack(pop)

static_assert(sizeof(Wire64::Request) == 112 && sizeof(Wire32::Request) == 108);
static_assert(sizeof(Wire64::Discard) == 32 && sizeof(Wire32::Discard) == 28);
static_assert(sizeof(Wire64::Indirect) == 64 && sizeof(Wire32::Indirect) == 64);
static_assert(sizeof(Wire64::Response) == 16 && sizeof(Wire32::Response) == 12);
static_assert(offsetof(Wire64::Indirect, page_refs) == 28);
static_assert(offsetof(Wire32::Indirect, page_refs) == 24);

// The `protocol` node.
enum class Abi : uint8_t { kX86_64, kX86_32, kArm };

constexpr std::string_view to_string(Abi abi) {
  switch (abi) {
    case Abi::kX86_64: return "x86_64-abi";
    case Abi::kX86_32: return "x86_32-abi";
    case Abi::kArm: return "arm-abi";
  }
  return "";
}

constexpr std::optional<Abi> abi_from(std::string_view name) {
  for (const Abi abi : {Abi::kX86_64, Abi::kX86_32, Abi::kArm})
    if (name == to_string(abi)) return abi;
  return std::nullopt;
}

// What a frontend of ours writes in that node.
#if defined(__aarch64__) || defined(__arm__)
inline constexpr Abi kNativeAbi = Abi::kArm;
#elif defined(__i386__)
inline constexpr Abi kNativeAbi = Abi::kX86_32;
#else
inline constexpr Abi kNativeAbi = Abi::kX86_64;
#endif

}  // namespace splitring::blkif
