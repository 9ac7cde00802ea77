// A second opinion on hostile requests, to hold ring/blkif_request.h against.
//
// It is written from Xen's blkif.h and the stated rules alone, and in another manner: it decodes
// the slot's raw bytes by offset, counts in 128 bits, and thinks of a segment as the set of
// sectors of its page that it names. Where the parser gives the first reason for which it refuses,
// the oracle lists all that apply: which comes first is the parser's own business.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ring/blkif_request.h"

namespace splitring::oracle {

// __extension__: 128-bit integers are not ISO C++.
__extension__ using Wide = unsigned __int128;

enum class SlotLayout : uint8_t { k64, k32 };

constexpr size_t slot_bytes(SlotLayout layout) { return layout == SlotLayout::k64 ? 112 : 108; }

// Reasons against a request.
class Faults {
 public:
  void add(blkif::Refusal fault) { bits_ |= 1U << static_cast<unsigned>(fault); }
  [[nodiscard]] bool has(blkif::Refusal fault) const {
    return (bits_ >> static_cast<unsigned>(fault) & 1) != 0;
  }
  [[nodiscard]] bool none() const { return bits_ == 0; }
  // "read_only misaligned"
  [[nodiscard]] std::string names() const;

 private:
  uint32_t bits_ = 0;
};

// A granted page and the sectors of it that take part: bit n for sector n.
struct PageSectors {
  uint32_t ref;
  uint8_t sectors;
};

struct Opinion {
  Faults faults;
  uint64_t id;
  uint8_t response_operation;
  // The rest means something only without faults.
  blkif::Action action;
  bool indirect;
  uint16_t segment_count;
  Wide first;
  Wide length;
  std::array<PageSectors, 11> pages;
  std::array<uint32_t, 8> indirect_refs;
};

// Precondition: `slot` holds slot_bytes(layout).
void judge(SlotLayout layout, std::span<const std::byte> slot, const blkif::DiskLimits& disk,
           Opinion& opinion);

// The second half of an indirect request: the bytes of its segments, 8 each, one PageSectors for
// each in `pages`.
struct IndirectOpinion {
  Faults faults;
  Wide length;
};
IndirectOpinion judge_indirect(std::span<const std::byte> segments, uint64_t first_sector,
                               const blkif::DiskLimits& disk, std::span<PageSectors> pages);

// True if the parser's answer is one that the oracle finds right, in every field that it promises.
bool agrees(const Opinion& opinion, blkif::Refusal refusal, const blkif::CheckedRequest& request);
bool agrees(const IndirectOpinion& opinion, std::span<const PageSectors> pages,
            blkif::Refusal refusal, std::span<const blkif::CheckedSegment> segments,
            const blkif::CheckedRequest& request);

// For a failed test: the slot in hexadecimal and both answers.
std::string describe(std::span<const std::byte> slot, const Opinion& opinion,
                     blkif::Refusal refusal);

}  // namespace splitring::oracle
