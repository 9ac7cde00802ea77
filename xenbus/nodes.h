// What the two ends of a block device tell each other in the store, read once, parsed strictly into
// one struct, and used from there. Nothing here trusts the writer: a number is digits only and in
// range, and nothing a peer wrote sizes an allocation.
//
// Source: xen/include/public/io/blkif.h (4.17), and what real pairs do (Linux, QEMU, tapback).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "grant/types.h"
#include "xenbus/store.h"
#include "xenbus/xenbus_state.h"

namespace splitring {

inline constexpr uint32_t kMaxRingPages = 16;  // order 4, as Linux, QEMU and Windows
inline constexpr uint32_t kMaxQueues = 64;     // of one device, whatever anyone asks for

// ---- what a backend offers before InitWait ---------------------------------------------------

struct BackendOffer {
  uint32_t max_queues = 4;               // multi-queue-max-queues
  uint32_t max_ring_page_order = 4;      // max-ring-page-order (and max-ring-pages)
  uint32_t max_indirect_segments = 256;  // feature-max-indirect-segments; 0: not offered
  bool persistent_grants = true;         // feature-persistent
  // splitring-instance: who is the backend: a process, and those that went on where it ended. A
  // node of our own that other frontends ignore: whoever sees another name than before knows that
  // what the backend it had has not answered will not be.
  std::string instance{};  // at most 64 bytes; empty: not said
};
Result<> write_offer(StoreView& store, const std::string& backend_directory,
                     const BackendOffer& offer);
// A frontend's reading of it. Missing nodes mean the protocol's defaults; what is out of range is
// clamped to what we can do or refused (F15).
Result<BackendOffer> read_offer(StoreView& store, const std::string& backend_directory);

// ---- what a backend tells of its disk before Connected ------------------------------------------

struct DiskNodes {
  Sectors capacity;                    // sectors: always of 512 bytes
  uint32_t block_bytes = kSectorSize;  // sector-size: 512 or 4096
  uint32_t physical_block_bytes = kSectorSize;
  uint32_t info = 0;                       // VDISK_* bits
  bool read_only = false;                  // info's bit, or the mode node
  bool flush = false;                      // feature-flush-cache
  bool barrier = false;                    // feature-barrier
  bool discard = false;                    // feature-discard
  uint32_t discard_granularity_bytes = 0;  // discard-granularity
};
Result<> write_disk(StoreView& store, const std::string& backend_directory, const DiskNodes& disk);
Result<DiskNodes> read_disk(StoreView& store, const std::string& backend_directory);

// ---- what a frontend asks for before Initialised -----------------------------------------------

struct QueueNodes {
  std::vector<GrantRef> ring_refs;  // 1, 2, 4, 8 or 16
  Port event_channel{};
};

struct FrontendNodes {
  std::optional<std::string> protocol;  // at most 32 bytes; the ABI's name
  bool persistent_grants = false;
  std::vector<QueueNodes> queues;  // at least 1, all with the same number of ring pages
};
Result<> write_frontend(StoreView& store, const std::string& frontend_directory,
                        const FrontendNodes& nodes);
// Refuses with a reason whatever goes beyond the offer or is malformed (B9, B10).
Result<FrontendNodes> read_frontend(StoreView& store, const std::string& frontend_directory,
                                    const BackendOffer& offer);
// Removes what write_frontend() writes, so that a later handshake starts clean. All but `protocol`:
// a toolstack may have written that.
Result<> remove_frontend(StoreView& store, const std::string& frontend_directory);

// ---- what a hotplug script and our backend tell each other
// ---------------------------------------

// The name of our script: a device whose `script` node names another one is not ours.
inline constexpr char kHotplugScript[] = "block-splitring";
// In the backend's directory, made by the script: take this device over. Removed in answer.
inline constexpr char kHandoverNode[] = "splitring-handover";
// In the backend's directory: why it does not serve the disk.
inline constexpr char kErrorNode[] = "error";

// ---- pieces ----------------------------------------------------------------------------------

// nullopt: no such node. Errors other than kNotFound are passed on.
Result<std::optional<std::string>> read_optional(StoreView& store, const std::string& path);
// A decimal in [0, max]; nullopt: no such node; kPeer with the path and value: anything else.
Result<std::optional<uint64_t>> read_number(StoreView& store, const std::string& path,
                                            uint64_t max);
// kUnknown when there is no node or no state in it.
Result<XenbusState> read_state(StoreView& store, const std::string& directory);
Result<> write_state(StoreView& store, const std::string& directory, XenbusState state);

}  // namespace splitring
