// Xen's own blkif rings as a reference: the installed headers for the 64-bit ABI, and for the
// 32-bit one the same structs with 64-bit fields aligned to 4 bytes, which is what the headers
// give when compiled for i386.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ring/blkif_wire.h"

// Before 3.2.8 ring.h expects barriers under other names.
#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00030208  // NOLINT(bugprone-reserved-identifier): Xen's
#endif
#define xen_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

// clang-format off: xen.h comes first, the others use its types.
#include <xen/grant_table.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>
#include <xen/io/ring.h>
#include <xen/xen.h>
// clang-format on

#pragma pack(push, 4)
struct xen32_request {
  uint8_t operation;
  uint8_t nr_segments;
  blkif_vdev_t handle;
  uint64_t id;
  blkif_sector_t sector_number;
  struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};
struct xen32_request_discard {
  uint8_t operation;
  uint8_t flag;
  blkif_vdev_t handle;
  uint64_t id;
  blkif_sector_t sector_number;
  uint64_t nr_sectors;
};
struct xen32_request_indirect {
  uint8_t operation;
  uint8_t indirect_op;
  uint16_t nr_segments;
  uint64_t id;
  blkif_sector_t sector_number;
  blkif_vdev_t handle;
  uint16_t align;
  grant_ref_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
  uint64_t pad;
};
struct xen32_response {
  uint64_t id;
  uint8_t operation;
  int16_t status;
};
#pragma pack(pop)
DEFINE_RING_TYPES(xen32, struct xen32_request, struct xen32_response);

namespace splitring {

// Ties each wire of ours to its reference.
struct Xen64 {
  using Wire = blkif::Wire64;
  using Request = blkif_request;
  using Discard = blkif_request_discard;
  using Indirect = blkif_request_indirect;
  using Response = blkif_response;
  using SharedRing = blkif_sring_t;
  using FrontRing = blkif_front_ring_t;
  using BackRing = blkif_back_ring_t;
};
struct Xen32 {
  using Wire = blkif::Wire32;
  using Request = xen32_request;
  using Discard = xen32_request_discard;
  using Indirect = xen32_request_indirect;
  using Response = xen32_response;
  using SharedRing = xen32_sring_t;
  using FrontRing = xen32_front_ring_t;
  using BackRing = xen32_back_ring_t;
};

}  // namespace splitring
