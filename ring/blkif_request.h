// The one parser: what a frontend wrote, already copied to private memory, becomes a request whose
// every number is in bounds, or a reason to refuse it. Pure functions, no allocation.
//
// Limits come from the size of the arrays they guard (XSA-513 is what happens otherwise) and from
// the disk. Sectors are of 512 bytes throughout, whatever the disk's block size (base/units.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/units.h"
#include "ring/blkif_wire.h"

namespace splitring::blkif {

// What a request is measured against.
struct DiskLimits {
  Sectors capacity;
  uint32_t block_bytes = kSectorSize;  // 512 or 4096
  bool read_only = false;
  bool barrier_offered = false;
  bool flush_offered = true;
  bool discard_offered = false;
  uint16_t indirect_segments_offered = 0;  // 0: not offered; at most kMaxIndirectSegments
};

// Why a request is refused. Counters are kept by reason.
enum class Refusal : uint8_t {
  kNone,
  kUnknownOperation,   // B14
  kNotOffered,         // flush, barrier or discard that the backend did not offer
  kDiscardFlags,       // secure erase, or flags that mean nothing
  kReadOnly,           // B20
  kSegmentCount,       // B15, B16, B21
  kSegmentBounds,      // B17
  kMisaligned,         // B19
  kOutOfRange,         // B18, B23
  kIndirectOperation,  // B21: neither read nor write within an indirect request
  kIndirectNotOffered,
};
inline constexpr size_t kRefusalCount = 11;

constexpr const char* to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone: return "none";
    case Refusal::kUnknownOperation: return "unknown_operation";
    case Refusal::kNotOffered: return "not_offered";
    case Refusal::kDiscardFlags: return "discard_flags";
    case Refusal::kReadOnly: return "read_only";
    case Refusal::kSegmentCount: return "segment_count";
    case Refusal::kSegmentBounds: return "segment_bounds";
    case Refusal::kMisaligned: return "misaligned";
    case Refusal::kOutOfRange: return "out_of_range";
    case Refusal::kIndirectOperation: return "indirect_operation";
    case Refusal::kIndirectNotOffered: return "indirect_not_offered";
  }
  return "";
}

// What the frontend is told. Operations that a backend may lack are "unsupported"; the rest is the
// frontend's mistake.
constexpr Status status_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone: return Status::kOkay;
    case Refusal::kUnknownOperation:
    case Refusal::kNotOffered:
    case Refusal::kDiscardFlags: return Status::kUnsupported;
    default: return Status::kError;
  }
}

// A run of sectors in one granted page.
struct CheckedSegment {
  uint32_t ref;
  uint16_t byte_offset;  // byte_offset + byte_count <= kPageSize
  uint16_t byte_count;   // not 0
};

enum class Action : uint8_t {
  kRead,
  kWrite,
  kFlush,         // durable: all writes answered before this came
  kFlushWrite,    // flush, then write: a FLUSH_DISKCACHE that carries data
  kBarrier,       // wait for all before, flush
  kBarrierWrite,  // wait for all before, flush, write, flush; nothing after starts before
  kDiscard,
};

struct CheckedRequest {
  uint64_t id;                 // the peer's own: echo it, never use it as an index (B24)
  uint8_t response_operation;  // of an indirect request: the inner one (Linux insists)
  Action action;
  bool indirect;
  uint16_t segment_count;  // 0 for flush, barrier, discard
  Sectors first;
  Sectors length;  // of an indirect request: 0 until check_indirect_segments()
  // Direct: the first segment_count. Indirect: unused.
  std::array<CheckedSegment, kMaxSegments> segments;
  // Indirect: the first indirect_page_count() name pages of segments. Direct: unused.
  std::array<uint32_t, kMaxIndirectPages> indirect_pages;

  [[nodiscard]] size_t indirect_page_count() const {
    return (segment_count + kSegmentsPerIndirectPage - 1) / kSegmentsPerIndirectPage;
  }
};

namespace internal {

// Adds up `wire` into `out`. Precondition: same size.
inline Refusal check_segments(std::span<const Segment> wire, const DiskLimits& disk,
                              std::span<CheckedSegment> out, Sectors& length) {
  const uint32_t block_mask = disk.block_bytes / kSectorSize - 1;
  uint64_t sectors = 0;
  for (size_t i = 0; i < wire.size(); i++) {
    const uint32_t first = wire[i].first_sector;
    const uint32_t end = wire[i].last_sector + 1U;
    if (first >= end || end > kSectorsPerPage) return Refusal::kSegmentBounds;
    if (((first | end) & block_mask) != 0) return Refusal::kMisaligned;
    out[i] = {wire[i].ref, static_cast<uint16_t>(first * kSectorSize),
              static_cast<uint16_t>((end - first) * kSectorSize)};
    sectors += end - first;
  }
  length = {sectors};
  return Refusal::kNone;
}

inline Refusal check_place(Sectors first, Sectors length, const DiskLimits& disk) {
  const uint64_t block_mask = disk.block_bytes / kSectorSize - 1;
  if (!in_range(first, length, disk.capacity)) return Refusal::kOutOfRange;
  if (((first.count | length.count) & block_mask) != 0) return Refusal::kMisaligned;
  return Refusal::kNone;
}

inline Refusal check_data(std::span<const Segment> wire, const DiskLimits& disk,
                          CheckedRequest& out) {
  const bool writes = out.action != Action::kRead;
  if (wire.empty() || wire.size() > kMaxSegments) return Refusal::kSegmentCount;
  if (writes && disk.read_only) return Refusal::kReadOnly;
  const Refusal refusal =
      check_segments(wire, disk, std::span(out.segments).first(wire.size()), out.length);
  if (refusal != Refusal::kNone) return refusal;
  out.segment_count = static_cast<uint16_t>(wire.size());
  return check_place(out.first, out.length, disk);
}

template <class Wire>
Refusal check_discard(const typename Wire::Request& slot, const DiskLimits& disk,
                      CheckedRequest& out) {
  typename Wire::Discard wire;
  static_assert(sizeof wire <= sizeof slot);
  __builtin_memcpy(&wire, &slot, sizeof wire);
  if (disk.read_only) return Refusal::kReadOnly;
  if (!disk.discard_offered) return Refusal::kNotOffered;
  if (wire.flags != 0) return Refusal::kDiscardFlags;
  out.action = Action::kDiscard;
  out.length = {wire.sector_count};
  if (wire.sector_count == 0) return Refusal::kOutOfRange;
  return check_place(out.first, out.length, disk);
}

template <class Wire>
Refusal check_indirect(const typename Wire::Request& slot, const DiskLimits& disk,
                       CheckedRequest& out) {
  typename Wire::Indirect wire;
  static_assert(sizeof wire <= sizeof slot);
  __builtin_memcpy(&wire, &slot, sizeof wire);
  out.response_operation = wire.inner_operation;
  if (disk.indirect_segments_offered == 0) return Refusal::kIndirectNotOffered;
  if (wire.inner_operation != kOpRead && wire.inner_operation != kOpWrite)
    return Refusal::kIndirectOperation;
  if (wire.segment_count == 0 || wire.segment_count > disk.indirect_segments_offered)
    return Refusal::kSegmentCount;
  if (wire.inner_operation == kOpWrite && disk.read_only) return Refusal::kReadOnly;
  out.action = wire.inner_operation == kOpRead ? Action::kRead : Action::kWrite;
  out.indirect = true;
  out.segment_count = wire.segment_count;
  out.indirect_pages = wire.page_refs;
  return Refusal::kNone;
}

}  // namespace internal

// Checks a slot that was copied out of a ring. On kNone all of `out` that its comments promise
// holds; on a refusal only id and response_operation do.
template <class Wire>
[[nodiscard]] Refusal check_request(const typename Wire::Request& slot, const DiskLimits& disk,
                                    CheckedRequest& out) {
  out.id = slot.id;
  out.response_operation = slot.operation;
  out.indirect = false;
  out.segment_count = 0;
  out.first = {slot.sector};
  out.length = {};
  // A count above the array's size is refused before any segment is looked at.
  const auto data = [&] {
    if (slot.segment_count > slot.segments.size()) return Refusal::kSegmentCount;
    return internal::check_data(std::span(slot.segments).first(slot.segment_count), disk, out);
  };
  switch (slot.operation) {
    case kOpRead: out.action = Action::kRead; return data();
    case kOpWrite: out.action = Action::kWrite; return data();
    case kOpFlushDiskcache:
      if (!disk.flush_offered) return Refusal::kNotOffered;
      out.action = slot.segment_count == 0 ? Action::kFlush : Action::kFlushWrite;
      return slot.segment_count == 0 ? Refusal::kNone : data();
    case kOpWriteBarrier:
      if (!disk.barrier_offered) return Refusal::kNotOffered;
      out.action = slot.segment_count == 0 ? Action::kBarrier : Action::kBarrierWrite;
      return slot.segment_count == 0 ? Refusal::kNone : data();
    case kOpDiscard: return internal::check_discard<Wire>(slot, disk, out);
    case kOpIndirect: return internal::check_indirect<Wire>(slot, disk, out);
    default: return Refusal::kUnknownOperation;
  }
}

// The second half for an indirect request: checks the segments, copied out of its indirect pages,
// and fills in request.length. Precondition: request came from check_request() with kNone and
// indirect set; both spans hold request.segment_count.
[[nodiscard]] inline Refusal check_indirect_segments(std::span<const Segment> wire,
                                                     const DiskLimits& disk,
                                                     std::span<CheckedSegment> out,
                                                     CheckedRequest& request) {
  const Refusal refusal = internal::check_segments(wire, disk, out, request.length);
  if (refusal != Refusal::kNone) return refusal;
  return internal::check_place(request.first, request.length, disk);
}

}  // namespace splitring::blkif
