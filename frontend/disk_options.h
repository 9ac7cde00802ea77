// What the user of a frontend disk chooses, and what it can tell about itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "frontend/lane_slot.h"

namespace splitring::frontend {

struct DiskOptions {
  // Lanes wanted, each with a ring of its own; the backend may allow fewer.
  uint32_t lanes = 1;
  // Data pages of all lanes together. A Linux guest grants 1024 pages in all by default
  // (drivers/xen/gntalloc.c), the rings' included.
  uint32_t pool_pages = 960;
  // Where the domain may grant no more, a half or a quarter of pool_pages and so on will do, but
  // not fewer than this, with fewer lanes if need be. Unset: pool_pages or nothing.
  std::optional<uint32_t> least_pool_pages;
  // Of one lane's ring, 0 to 4: one page has 32 slots, four have 128.
  uint32_t max_ring_page_order = 2;
  std::chrono::milliseconds connect_timeout{10'000};
  // How long requests wait for a backend that went away before they fail with kGone. Unset: for
  // ever.
  std::optional<std::chrono::milliseconds> reconnect_timeout{30'000};
  // A connected backend that answers nothing for so long, with requests in its ring, is given up
  // for good. Unset: it may take its time.
  std::optional<std::chrono::milliseconds> request_timeout;
  // How long closing waits for the backend to let go.
  std::chrono::milliseconds close_timeout{2'000};
  bool read_only = false;
};

struct DiskStatistics {
  LinkPhase phase = LinkPhase::kWaiting;
  std::string last_error;  // why it is not connected, or was not the last time
  uint32_t lanes = 0;
  uint32_t max_lanes_offered = 0;
  uint32_t ring_pages = 0;  // of each lane
  uint32_t max_segments = 0;
  bool trusted = true;
  uint64_t reconnects = 0;
  size_t quarantined_pages = 0;  // granted, given up by us, still mapped by the backend (F11)
  // Sums over the lanes.
  uint64_t ring_requests = 0;
  uint64_t indirect_requests = 0;
  uint64_t bounced_bytes = 0;
  uint64_t notifications = 0;
  uint64_t wakeups = 0;
  uint64_t spurious_wakeups = 0;
  uint64_t throttled_wakeups = 0;
  uint64_t replayed_requests = 0;
  uint64_t refused_flushes = 0;
};

}  // namespace splitring::frontend
