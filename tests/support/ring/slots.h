// Slots as a well-behaved frontend would fill them, for tests to spoil.
#pragma once

#include <cstdint>
#include <cstring>

#include "ring/blkif_wire.h"

namespace splitring {

template <class Wire>
struct Slots {
  using Request = typename Wire::Request;

  // One page at sector 0, unless changed.
  static Request request(uint8_t operation, uint8_t segments = 1) {
    Request slot{};
    slot.operation = operation;
    slot.segment_count = segments;
    slot.id = 0xfeedfacecafebeef;
    for (uint32_t i = 0; i < slot.segments.size(); i++)
      slot.segments[i] = {.ref = 50 + i, .first_sector = 0, .last_sector = 7, .padding = 0};
    return slot;
  }
  template <class Shape>
  static Request in_a_slot(const Shape& shape) {
    Request slot{};
    std::memcpy(&slot, &shape, sizeof shape);
    return slot;
  }
  static Request discard(uint64_t sector, uint64_t count, uint8_t flags = 0) {
    typename Wire::Discard shape{};
    shape.operation = blkif::kOpDiscard;
    shape.flags = flags;
    shape.sector = sector;
    shape.sector_count = count;
    return in_a_slot(shape);
  }
  static Request indirect(uint8_t inner, uint16_t segments) {
    typename Wire::Indirect shape{};
    shape.operation = blkif::kOpIndirect;
    shape.inner_operation = inner;
    shape.segment_count = segments;
    shape.page_refs = {1, 2, 3, 4, 5, 6, 7, 8};
    return in_a_slot(shape);
  }
};

}  // namespace splitring
