// What becomes of a checked request: the disk's operations that it is made of, what it is counted
// by, and what its frontend is told in the end. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "backend/report.h"
#include "blkimage/block_device.h"
#include "ring/blkif_request.h"
#include "ring/blkif_wire.h"

namespace splitring::backend {

// What a request asks of the disk, in this order; alone: nothing else of this ring is in flight.
struct Plan {
  uint8_t steps;
  bool alone;
  std::array<Operation, 3> operations;
};

constexpr Plan plan_of(blkif::Action action) {
  using enum Operation;
  switch (action) {
    case blkif::Action::kRead: return {1, false, {kRead}};
    case blkif::Action::kWrite: return {1, false, {kWrite}};
    case blkif::Action::kFlush: return {1, false, {kFlush}};
    case blkif::Action::kFlushWrite: return {2, false, {kFlush, kWrite}};
    case blkif::Action::kBarrier: return {1, true, {kFlush}};
    case blkif::Action::kBarrierWrite: return {3, true, {kFlush, kWrite, kFlush}};
    case blkif::Action::kDiscard: return {1, false, {kDiscard}};
  }
  return {};
}

constexpr Work work_of(blkif::Action action) {
  switch (action) {
    case blkif::Action::kRead: return Work::kRead;
    case blkif::Action::kWrite:
    case blkif::Action::kFlushWrite:
    case blkif::Action::kBarrierWrite: return Work::kWrite;
    case blkif::Action::kFlush:
    case blkif::Action::kBarrier: return Work::kFlush;
    case blkif::Action::kDiscard: return Work::kDiscard;
  }
  return Work::kRead;
}

inline blkif::Status status_from(IoStatus status) {
  switch (status) {
    case IoStatus::kOk: return blkif::Status::kOkay;
    case IoStatus::kUnsupported: return blkif::Status::kUnsupported;
    default: return blkif::Status::kError;
  }
}

}  // namespace splitring::backend
