#include "tests/support/ring/validator_oracle.h"

#include <array>
#include <bit>
#include <cstring>

namespace splitring::oracle {
namespace {

using blkif::Action;
using blkif::DiskLimits;
using blkif::Refusal;

// Offsets of both ABIs, as xen/include/public/io/blkif.h compiles for x86_64 and for i386.
struct Offsets {
  size_t id;
  size_t sector;
  size_t segments;       // of a request with data
  size_t sector_count;   // of a discard
  size_t indirect_refs;  // of an indirect request
};
constexpr Offsets kOffsets64 = {8, 16, 24, 24, 28};
constexpr Offsets kOffsets32 = {4, 12, 20, 20, 24};
constexpr size_t kOperation = 0;
constexpr size_t kSecondByte = 1;  // nr_segments, a discard's flag, an inner operation
constexpr size_t kIndirectCount = 2;

constexpr size_t kSegmentBytes = 8;
constexpr size_t kFirstSector = 4;
constexpr size_t kLastSector = 5;
constexpr unsigned kSectorsInPage = 8;
constexpr unsigned kMostDirectSegments = 11;

template <class T>
T integer(std::span<const std::byte> bytes, size_t offset) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return value;
}

// The sectors that a segment names: none if it runs backwards or off the page.
uint8_t sectors_of(std::span<const std::byte> segment) {
  const auto first = std::to_integer<unsigned>(segment[kFirstSector]);
  const auto last = std::to_integer<unsigned>(segment[kLastSector]);
  unsigned set = 0;
  for (unsigned sector = first; sector <= last; sector++) {
    if (sector >= kSectorsInPage) return 0;
    set |= 1U << sector;
  }
  return static_cast<uint8_t>(set);
}

// Every block of the page is in the set as a whole or not at all.
bool has_whole_blocks(uint8_t sectors, unsigned block_sectors) {
  for (unsigned first = 0; first < kSectorsInPage; first += block_sectors) {
    unsigned members = 0;
    for (unsigned i = first; i < first + block_sectors; i++) members += sectors >> i & 1U;
    if (members != 0 && members != block_sectors) return false;
  }
  return true;
}

unsigned block_sectors_of(const DiskLimits& disk) { return disk.block_bytes / 512; }

void judge_place(Wide first, Wide length, const DiskLimits& disk, Faults& faults) {
  if (first + length > Wide{disk.capacity.count}) faults.add(Refusal::kOutOfRange);
  const Wide unit = block_sectors_of(disk);
  if (first % unit != 0 || (first + length) % unit != 0) faults.add(Refusal::kMisaligned);
}

// Fills `pages` and returns how many sectors they hold together.
Wide judge_segments(std::span<const std::byte> bytes, uint64_t first_sector, const DiskLimits& disk,
                    std::span<PageSectors> pages, Faults& faults) {
  Wide total = 0;
  for (size_t i = 0; i < pages.size(); i++) {
    const auto segment = bytes.subspan(i * kSegmentBytes, kSegmentBytes);
    pages[i].ref = integer<uint32_t>(segment, 0);
    pages[i].sectors = sectors_of(segment);
    if (pages[i].sectors == 0) faults.add(Refusal::kSegmentBounds);
    if (!has_whole_blocks(pages[i].sectors, block_sectors_of(disk)))
      faults.add(Refusal::kMisaligned);
    total += static_cast<unsigned>(std::popcount(pages[i].sectors));
  }
  // With a segment that means nothing there is no length to place.
  if (!faults.has(Refusal::kSegmentBounds)) judge_place(first_sector, total, disk, faults);
  return total;
}

struct Slot {
  std::span<const std::byte> bytes;
  const Offsets& offsets;
  const DiskLimits& disk;

  [[nodiscard]] unsigned byte(size_t at) const { return std::to_integer<unsigned>(bytes[at]); }
};

void judge_data(const Slot& slot, Action action, Opinion& opinion) {
  const unsigned count = slot.byte(kSecondByte);
  opinion.action = action;
  if (action != Action::kRead && slot.disk.read_only) opinion.faults.add(Refusal::kReadOnly);
  if (count == 0 || count > kMostDirectSegments) return opinion.faults.add(Refusal::kSegmentCount);
  opinion.segment_count = static_cast<uint16_t>(count);
  opinion.length = judge_segments(slot.bytes.subspan(slot.offsets.segments),
                                  static_cast<uint64_t>(opinion.first), slot.disk,
                                  std::span(opinion.pages).first(count), opinion.faults);
}

// A flush or barrier: alone without segments, otherwise a write as well.
void judge_flush(const Slot& slot, bool offered, Action alone, Action with_data, Opinion& opinion) {
  if (!offered) opinion.faults.add(Refusal::kNotOffered);
  opinion.action = alone;
  if (slot.byte(kSecondByte) != 0) judge_data(slot, with_data, opinion);
}

void judge_discard(const Slot& slot, Opinion& opinion) {
  opinion.action = Action::kDiscard;
  opinion.length = integer<uint64_t>(slot.bytes, slot.offsets.sector_count);
  if (slot.disk.read_only) opinion.faults.add(Refusal::kReadOnly);
  if (!slot.disk.discard_offered) opinion.faults.add(Refusal::kNotOffered);
  if (slot.byte(kSecondByte) != 0) opinion.faults.add(Refusal::kDiscardFlags);
  if (opinion.length == 0) opinion.faults.add(Refusal::kOutOfRange);
  judge_place(opinion.first, opinion.length, slot.disk, opinion.faults);
}

void judge_indirect_slot(const Slot& slot, Opinion& opinion) {
  const unsigned inner = slot.byte(kSecondByte);
  const auto count = integer<uint16_t>(slot.bytes, kIndirectCount);
  const bool writes = inner == 1;
  opinion.response_operation = static_cast<uint8_t>(inner);
  opinion.action = writes ? Action::kWrite : Action::kRead;
  opinion.indirect = true;
  opinion.segment_count = count;
  if (slot.disk.indirect_segments_offered == 0) opinion.faults.add(Refusal::kIndirectNotOffered);
  if (inner > 1) opinion.faults.add(Refusal::kIndirectOperation);
  if (count == 0 || count > slot.disk.indirect_segments_offered)
    opinion.faults.add(Refusal::kSegmentCount);
  if (writes && slot.disk.read_only) opinion.faults.add(Refusal::kReadOnly);
  for (size_t i = 0; i < opinion.indirect_refs.size(); i++)
    opinion.indirect_refs[i] = integer<uint32_t>(slot.bytes, slot.offsets.indirect_refs + 4 * i);
}

bool same_pages(std::span<const PageSectors> expected,
                std::span<const blkif::CheckedSegment> segments) {
  for (size_t i = 0; i < expected.size(); i++) {
    const unsigned before = segments[i].byte_offset;
    const unsigned end = before + segments[i].byte_count;
    if (segments[i].ref != expected[i].ref || end > 4096 || end <= before) return false;
    for (unsigned sector = 0; sector < kSectorsInPage; sector++) {
      const bool named = (expected[i].sectors >> sector & 1) != 0;
      const bool reached = sector * 512 < end && before < (sector + 1) * 512;
      if (named != reached) return false;
    }
    if (before % 512 != 0 || end % 512 != 0) return false;
  }
  return true;
}

bool right_reason(const Faults& faults, Refusal refusal) {
  return refusal == Refusal::kNone ? faults.none() : faults.has(refusal);
}

}  // namespace

std::string Faults::names() const {
  std::string names;
  for (size_t i = 0; i < blkif::kRefusalCount; i++)
    if (has(static_cast<Refusal>(i)))
      names += std::string(names.empty() ? "" : " ") + blkif::to_string(static_cast<Refusal>(i));
  return names.empty() ? "none" : names;
}

void judge(SlotLayout layout, std::span<const std::byte> bytes, const DiskLimits& disk,
           Opinion& opinion) {
  const Slot slot = {bytes, layout == SlotLayout::k64 ? kOffsets64 : kOffsets32, disk};
  const unsigned operation = slot.byte(kOperation);
  opinion.faults = {};
  opinion.id = integer<uint64_t>(bytes, slot.offsets.id);
  opinion.response_operation = static_cast<uint8_t>(operation);
  opinion.indirect = false;
  opinion.segment_count = 0;
  opinion.first = integer<uint64_t>(bytes, slot.offsets.sector);
  opinion.length = 0;
  if (operation == 0) {
    judge_data(slot, Action::kRead, opinion);
  } else if (operation == 1) {
    judge_data(slot, Action::kWrite, opinion);
  } else if (operation == 2) {
    judge_flush(slot, disk.barrier_offered, Action::kBarrier, Action::kBarrierWrite, opinion);
  } else if (operation == 3) {
    judge_flush(slot, disk.flush_offered, Action::kFlush, Action::kFlushWrite, opinion);
  } else if (operation == 5) {
    judge_discard(slot, opinion);
  } else if (operation == 6) {
    judge_indirect_slot(slot, opinion);
  } else {
    opinion.faults.add(Refusal::kUnknownOperation);
  }
}

IndirectOpinion judge_indirect(std::span<const std::byte> segments, uint64_t first_sector,
                               const DiskLimits& disk, std::span<PageSectors> pages) {
  IndirectOpinion opinion{};
  opinion.length = judge_segments(segments, first_sector, disk, pages, opinion.faults);
  return opinion;
}

bool agrees(const Opinion& opinion, Refusal refusal, const blkif::CheckedRequest& request) {
  if (!right_reason(opinion.faults, refusal) || request.id != opinion.id ||
      request.response_operation != opinion.response_operation)
    return false;
  if (refusal != Refusal::kNone) return true;
  if (request.action != opinion.action || request.indirect != opinion.indirect ||
      request.segment_count != opinion.segment_count ||
      Wide{request.first.count} != opinion.first || Wide{request.length.count} != opinion.length)
    return false;
  if (!opinion.indirect)
    return same_pages(std::span(opinion.pages).first(opinion.segment_count), request.segments);
  // Every ref that the segments need, each page holding 512 of them.
  const size_t pages = (size_t{opinion.segment_count} + 511) / 512;
  if (request.indirect_page_count() != pages || pages > opinion.indirect_refs.size()) return false;
  for (size_t i = 0; i < pages; i++)
    if (request.indirect_pages[i] != opinion.indirect_refs[i]) return false;
  return true;
}

bool agrees(const IndirectOpinion& opinion, std::span<const PageSectors> pages, Refusal refusal,
            std::span<const blkif::CheckedSegment> segments, const blkif::CheckedRequest& request) {
  if (!right_reason(opinion.faults, refusal)) return false;
  if (refusal != Refusal::kNone) return true;
  return Wide{request.length.count} == opinion.length && same_pages(pages, segments);
}

std::string describe(std::span<const std::byte> slot, const Opinion& opinion, Refusal refusal) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "slot";
  for (size_t i = 0; i < slot.size(); i++) {
    if (i % 4 == 0) text += ' ';
    const auto byte = std::to_integer<size_t>(slot[i]);
    text += kDigits[byte / 16];
    text += kDigits[byte % 16];
  }
  return text + "; parser: " + blkif::to_string(refusal) + "; oracle: " + opinion.faults.names();
}

}  // namespace splitring::oracle
