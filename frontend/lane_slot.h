// Where the control thread of a disk and the thread that owns a lane meet.
//
// The control thread shakes hands with the backend and leaves the result here: a fresh connection,
// or word that there is none. The lane looks at one counter on its way (changes()) and takes the
// mutex only when it moved, so requests meet no lock. Connections that a lane has done with go back
// the same way: their grants are ended by the control thread.
//
// Life of a link, as the lane sees it:
//   kConnected --backend closes--> kDraining --answered, or patience over--> kWaiting
//   kWaiting --new handshake--> kConnected (a fresh connection; unanswered requests go again)
//   kWaiting --reconnect timeout, or the disk was taken away--> kGone --new handshake--> kConnected
//   any --the backend broke the ring's rules--> kBroken, for good
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

#include "base/counter.h"
#include "frontend/granted_pool.h"
#include "frontend/wake_fd.h"
#include "grant/event_channel.h"
#include "grant/grant_share.h"
#include "ring/blkif_wire.h"
#include "ring/front_ring.h"

namespace splitring::frontend {

using NativeWire =
    std::conditional_t<blkif::kNativeAbi == blkif::Abi::kX86_32, blkif::Wire32, blkif::Wire64>;

enum class LinkPhase : uint8_t { kWaiting, kConnected, kDraining, kGone, kBroken };
const char* to_string(LinkPhase phase);

// How a backend broke the rules of the ring (rows F1 to F6 of the hardening list).
enum class RingFault : uint8_t {
  kNone,
  kResponseIndex,   // more responses than requests, or fewer than before
  kUnknownId,       // not of a request in flight
  kWrongOperation,  // not the operation of the request
  kStalled,         // nothing answered for longer than the request timeout
};
const char* to_string(RingFault fault);

// What the backend of this connection takes, checked and clamped.
struct LaneLimits {
  uint16_t handle = 0;
  uint32_t max_segments = blkif::kMaxSegments;  // above 11: by indirect requests
  std::optional<uint8_t> flush_operation;       // nothing: writes are durable when answered
  bool discard = false;
};

struct LaneConnection {
  LaneConnection(std::unique_ptr<SharedPages> pages, std::unique_ptr<EventChannel> doorbell)
      : ring_pages(std::move(pages)), channel(std::move(doorbell)), ring(ring_pages->bytes()) {}

  std::unique_ptr<SharedPages> ring_pages;
  std::unique_ptr<EventChannel> channel;
  FrontRing<NativeWire> ring;
  LaneLimits limits;
};

// Written by the lane's thread alone, read by any.
struct alignas(64) LaneCounters {
  Counter ring_requests;
  Counter indirect_requests;
  Counter answered;     // ring requests
  Counter outstanding;  // ring requests without an answer yet
  Counter bounced_bytes;
  Counter notifications;
  Counter wakeups;
  Counter spurious_wakeups;
  Counter throttled_wakeups;
  Counter replayed_requests;
  Counter refused_flushes;  // that the backend had offered to do
};

class LaneSlot {
 public:
  // `control` is signalled when the control thread has something to do here; it outlives this.
  LaneSlot(GrantedPool pool, bool always_bounce, WakeFd lane, const WakeFd& control)
      : pool_(std::move(pool)),
        always_bounce_(always_bounce),
        lane_wake_(std::move(lane)),
        control_wake_(control) {}

  // ---- the control thread's side -------------------------------------------------------------
  void publish(std::unique_ptr<LaneConnection> connection);
  void set_phase(LinkPhase phase);
  // Ends the grants of what the lane has done with.
  void drop_retired();
  [[nodiscard]] RingFault fault() const { return fault_.load(std::memory_order_acquire); }

  // ---- the lane's side -----------------------------------------------------------------------
  // False if a lane has it already.
  bool open();
  // Gives the connection back for the next lane, if it still is the current one.
  void close(std::unique_ptr<LaneConnection> connection, uint32_t seen_changes);
  [[nodiscard]] uint32_t changes() const { return changes_.load(std::memory_order_acquire); }
  struct View {
    uint32_t changes;
    LinkPhase phase;
    bool has_fresh;
  };
  View look();
  std::unique_ptr<LaneConnection> take_fresh();
  void retire(std::unique_ptr<LaneConnection> connection);
  void report_fault(RingFault fault);
  void wake_control() const { control_wake_.signal(); }

  // The lane's alone while it is open.
  GrantedPool& pool() { return pool_; }
  // The toolstack does not trust the backend: no buffer of a caller is ever shared.
  [[nodiscard]] bool always_bounce() const { return always_bounce_; }
  [[nodiscard]] const WakeFd& lane_wake() const { return lane_wake_; }
  LaneCounters& counters() { return counters_; }
  [[nodiscard]] const LaneCounters& counters() const { return counters_; }

 private:
  void changed();  // with mutex_ held

  LaneCounters counters_;
  GrantedPool pool_;
  const bool always_bounce_;
  WakeFd lane_wake_;
  const WakeFd& control_wake_;
  std::atomic<uint32_t> changes_{0};
  std::atomic<RingFault> fault_{RingFault::kNone};

  std::mutex mutex_;  // of all below
  LinkPhase phase_ = LinkPhase::kWaiting;
  bool open_ = false;
  std::unique_ptr<LaneConnection> fresh_;  // not taken by the lane yet
  std::vector<std::unique_ptr<LaneConnection>> retired_;
};

}  // namespace splitring::frontend
