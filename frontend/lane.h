// A lane of a frontend disk: one ring, driven by the thread that owns the lane.
//
// The way of a request: submit() puts it in a waiting list; kick() cuts it into ring requests, as
// many as slots and pages allow, and publishes them all at once; poll() takes responses, gives
// pages back and completes. No lock, no allocation and no system call on that way but the doorbell
// and, when nothing is left to do, the sleep.
//
// Data: buffers that lie in the lane's pool go by reference; others are copied through pages of the
// pool. Larger requests than eleven segments go as indirect ones where the backend takes them.
//
// A backend that breaks the rules of the ring costs it the device: everything in flight ends with
// kGone and nothing is sent any more. A backend that goes away costs time: what it had not answered
// is sent again, whole, to the next one, unless the disk is given up first. So each request
// completes exactly once (F19); it may be executed twice, which reads, writes of the same bytes,
// flushes and discards allow.
//
// Invariants:
//  1. A request is in exactly one of: waiting_; ready_; in_flight_ (one or more entries), where it
//     may also be the front of waiting_ while it is not all sent.
//  2. free slots of the ring + in_flight_.count() == slots, so no answer ever lacks a place.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"
#include "blkimage/block_device.h"
#include "frontend/in_flight.h"
#include "frontend/lane_slot.h"
#include "frontend/progress.h"

namespace splitring::frontend {

// What we use of indirect requests: 1 MiB, as Linux's backend offers. One page describes it.
inline constexpr uint32_t kMaxIndirectSegmentsUsed = 256;
static_assert(kMaxIndirectSegmentsUsed <= blkif::kSegmentsPerIndirectPage);

class Lane final : public BlockQueue {
 public:
  // The slot, with a device behind it, must outlive the lane. `ring_slots` is an upper bound of
  // every connection's. Errors: kBusy if the slot's lane is open.
  static Result<std::unique_ptr<BlockQueue>> open(DeviceState& state, LaneSlot& slot,
                                                  uint32_t ring_slots, const QueueOptions& options);
  ~Lane() override;

  [[nodiscard]] int fd() const override { return epoll_.get(); }

 private:
  // The next run of a request's bytes that one segment can carry.
  struct Piece {
    uint32_t page;  // kNoPage: has to be bounced
    uint32_t byte_offset;
    uint32_t byte_count;
  };
  // A ring request in the making. `segments_` holds its segments.
  struct Draft {
    uint32_t segment_count = 0;
    uint32_t byte_count = 0;
    uint32_t first_bounce = kNoPage;
    uint32_t last_bounce = kNoPage;
  };

  Lane(DeviceState& state, LaneSlot& slot, uint32_t ring_slots, const QueueOptions& options,
       UniqueFd epoll);

  void do_submit(BlockRequest& request) noexcept override;
  void do_kick() noexcept override;
  void do_poll() noexcept override;
  bool do_prepare_to_wait() noexcept override;
  void do_sleep() noexcept override;
  Result<std::span<std::byte>> do_allocate(size_t bytes) override;
  void do_release(std::span<std::byte> bytes) noexcept override;

  // ---- lane_send.cc: requests into the ring --------------------------------------------------
  // True: all of it is in the ring, or needs not be.
  bool send(BlockRequest& request) noexcept;
  bool send_data(BlockRequest& request) noexcept;
  bool send_flush(BlockRequest& request) noexcept;
  bool send_discard(BlockRequest& request) noexcept;
  bool send_part(BlockRequest& request) noexcept;
  [[nodiscard]] Piece next_piece(const BufferCursor& cursor, uint64_t left) const noexcept;
  Draft draft_data(const BlockRequest& request, BufferCursor& cursor, uint64_t left,
                   uint32_t max_segments) noexcept;
  Draft draft_zeroes(uint64_t left, uint32_t max_segments) noexcept;
  void bounce(const BlockRequest& request, BufferCursor& cursor, uint32_t byte_count,
              Draft& draft) noexcept;
  void add_segment(Draft& draft, uint32_t page, uint32_t byte_offset, uint32_t byte_count) noexcept;
  void push(BlockRequest& request, RingRequest& entry, const Draft& draft) noexcept;
  RingRequest& take_entry(BlockRequest& request, uint8_t operation) noexcept;

  // ---- lane.cc: responses, and the life of the link ------------------------------------------
  void finish_ready() noexcept;
  void take_responses() noexcept;
  RingFault accept(const NativeWire::Response& response) noexcept;
  void scatter(const RingRequest& entry) noexcept;
  void give_back(RingRequest& entry) noexcept;
  void give_bounce_pages(uint32_t first) noexcept;
  void follow_link() noexcept;
  void leave_connection() noexcept;
  void send_again_unanswered() noexcept;
  void break_link(RingFault fault) noexcept;
  void give_up_everything() noexcept;
  void throttle() noexcept;
  [[nodiscard]] bool given_up() const {
    return phase_ == LinkPhase::kGone || phase_ == LinkPhase::kBroken;
  }

  LaneSlot& slot_;
  GrantedPool& pool_;
  LaneCounters& counters_;
  const bool always_bounce_;
  const uint32_t block_mask_;
  UniqueFd epoll_;  // of the lane's wake-up and the connection's event channel

  LinkPhase phase_ = LinkPhase::kWaiting;
  uint32_t seen_changes_;
  std::unique_ptr<LaneConnection> connection_;
  InFlight in_flight_;
  uint32_t zero_page_uses_ = 0;  // segments in flight that name it
  RequestList waiting_;          // not, or not all, in the ring
  RequestList ready_;            // answered without the ring: completed by the next poll
  std::array<blkif::Segment, kMaxIndirectSegmentsUsed> segments_{};

  bool armed_ = false;  // prepare_to_wait() promised a wake-up that has not been acknowledged
  uint64_t answered_when_armed_ = 0;
  uint64_t answered_ = 0;
  uint32_t spurious_in_a_row_ = 0;
};

}  // namespace splitring::frontend
