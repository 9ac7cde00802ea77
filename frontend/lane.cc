#include "frontend/lane.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

namespace splitring::frontend {
namespace {

// Wake-ups without anything to do are normal now and then; this many in a row are not (F13).
constexpr uint32_t kSpuriousTolerated = 32;
constexpr int kThrottleMs = 1;

bool watch_fd(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

IoStatus status_from(const NativeWire::Response& response) {
  switch (response.status) {
    case static_cast<int16_t>(blkif::Status::kOkay): return IoStatus::kOk;
    case static_cast<int16_t>(blkif::Status::kUnsupported): return IoStatus::kUnsupported;
    default: return IoStatus::kIoError;  // F7
  }
}

}  // namespace

Result<std::unique_ptr<BlockQueue>> Lane::open(DeviceState& state, LaneSlot& slot,
                                               uint32_t ring_slots, const QueueOptions& options) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll || !watch_fd(epoll.get(), slot.lane_wake().fd()))
    return fail_errno("epoll of a frontend's lane", errno);
  if (!slot.open()) return fail(Errc::kBusy, "the lane is open already");
  return std::unique_ptr<BlockQueue>(new Lane(state, slot, ring_slots, options, std::move(epoll)));
}

Lane::Lane(DeviceState& state, LaneSlot& slot, uint32_t ring_slots, const QueueOptions& options,
           UniqueFd epoll)
    : BlockQueue(state, SpinWait(options.polling)),
      slot_(slot),
      pool_(slot.pool()),
      counters_(slot.counters()),
      always_bounce_(slot.always_bounce()),
      block_mask_(state.fixed.logical_block_bytes - 1),
      epoll_(std::move(epoll)),
      seen_changes_(slot.changes()),
      in_flight_(ring_slots) {
  follow_link();
}

Lane::~Lane() {
  if (connection_)
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection_->channel->fd(), nullptr);
  slot_.close(std::move(connection_), seen_changes_);
}

Result<std::span<std::byte>> Lane::do_allocate(size_t bytes) {
  if (always_bounce_) return BlockQueue::do_allocate(bytes);
  return pool_.allocate(bytes);
}

void Lane::do_release(std::span<std::byte> bytes) noexcept {
  if (always_bounce_)
    BlockQueue::do_release(bytes);
  else
    pool_.release(bytes);
}

void Lane::do_submit(BlockRequest& request) noexcept {
  Progress(request).reset();
  waiting_.push(request);
}

void Lane::do_poll() noexcept {
  if (slot_.changes() != seen_changes_) [[unlikely]] {
    if (connection_) take_responses();  // what was answered before the change counts
    follow_link();
    do_kick();
  }
  finish_ready();
  if (connection_) take_responses();
  if (given_up()) [[unlikely]] {
    give_up_everything();
    finish_ready();
  }
}

void Lane::finish_ready() noexcept {
  if (ready_.empty()) return;
  RequestList done = std::exchange(ready_, {});  // completions may add to ready_
  while (!done.empty()) {
    BlockRequest& request = done.pop();
    finish(request, Progress(request).status());
  }
}

void Lane::take_responses() noexcept {
  auto& ring = connection_->ring;
  if (ring.look() == RingState::kBroken) return break_link(RingFault::kResponseIndex);
  if (ring.available() == 0) return;
  const uint64_t before = answered_;
  NativeWire::Response response;
  while (ring.available() != 0) {
    ring.take(response);
    const RingFault fault = accept(response);
    if (fault != RingFault::kNone) return break_link(fault);
    answered_++;
  }
  counters_.answered.add(answered_ - before);
  counters_.outstanding.set(in_flight_.count());
  if (phase_ == LinkPhase::kDraining && in_flight_.count() == 0) slot_.wake_control();
  // Slots and pages are free again, and poll() kicks only where a whole request has completed.
  if (!waiting_.empty()) do_kick();
}

RingFault Lane::accept(const NativeWire::Response& response) noexcept {
  RingRequest* const entry = in_flight_.find(response.id);
  if (entry == nullptr) return RingFault::kUnknownId;
  if (response.operation != entry->operation) return RingFault::kWrongOperation;
  BlockRequest& request = *entry->owner;
  const IoStatus status = status_from(response);
  if (entry->first_bounce != kNoPage && request.operation == Operation::kRead &&
      status == IoStatus::kOk)
    scatter(*entry);
  if (request.operation == Operation::kFlush && status == IoStatus::kUnsupported)
    counters_.refused_flushes.add();
  give_back(*entry);
  Progress progress(request);
  progress.one_less_outstanding();
  progress.note(status);
  if (progress.all_sent() && progress.outstanding() == 0) finish(request, progress.status());
  return RingFault::kNone;
}

// Copies what was read into bounce pages to where it belongs.
void Lane::scatter(const RingRequest& entry) noexcept {
  BufferCursor cursor(entry.owner->buffers, entry.buffer_index, entry.buffer_offset);
  uint32_t page = entry.first_bounce;
  uint32_t left = entry.byte_count;
  while (left != 0) {
    const Piece piece = next_piece(cursor, left);
    if (piece.page == kNoPage) {
      cursor.copy_from(pool_.address(page), piece.byte_count);
      page = pool_.next(page);
    } else {
      cursor.skip(piece.byte_count);
    }
    left -= piece.byte_count;
  }
}

void Lane::give_bounce_pages(uint32_t first) noexcept {
  while (first != kNoPage) {
    const uint32_t page = std::exchange(first, pool_.next(first));
    pool_.give_page(page);
  }
}

void Lane::give_back(RingRequest& entry) noexcept {
  give_bounce_pages(entry.first_bounce);
  if (entry.descriptor != kNoPage) pool_.give_descriptor(entry.descriptor);
  zero_page_uses_ -= entry.zero_pages;
  in_flight_.give(entry);
}

// ---- the life of the link --------------------------------------------------------------------

void Lane::follow_link() noexcept {
  if (phase_ == LinkPhase::kBroken) {
    seen_changes_ = slot_.changes();
    slot_.lane_wake().clear();
    return;
  }
  slot_.lane_wake().clear();
  const LaneSlot::View view = slot_.look();
  seen_changes_ = view.changes;
  phase_ = view.phase;
  const bool keeps =
      phase_ == LinkPhase::kDraining || (phase_ == LinkPhase::kConnected && !view.has_fresh);
  if (connection_ && !keeps) leave_connection();
  if (view.has_fresh && phase_ == LinkPhase::kConnected) connection_ = slot_.take_fresh();
  // The control thread was quicker and took it back: its next word is on the way.
  if (!connection_ && phase_ == LinkPhase::kConnected) phase_ = LinkPhase::kWaiting;
  if (connection_ && !keeps) (void)watch_fd(epoll_.get(), connection_->channel->fd());
  if (phase_ == LinkPhase::kDraining && in_flight_.count() == 0) slot_.wake_control();
}

void Lane::leave_connection() noexcept {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection_->channel->fd(), nullptr);
  send_again_unanswered();
  armed_ = false;
  slot_.retire(std::move(connection_));
}

// Requests that were partly answered go again whole, before those that have not been sent.
void Lane::send_again_unanswered() noexcept {
  RequestList again;
  in_flight_.for_each([&](RingRequest& entry) {
    BlockRequest& request = *entry.owner;
    give_back(entry);
    Progress progress(request);
    progress.one_less_outstanding();
    if (progress.outstanding() != 0) return;
    if (progress.status() != IoStatus::kOk) {
      if (progress.all_sent()) ready_.push(request);  // a part has failed: that is its answer
      return;
    }
    const bool still_waits = !progress.all_sent();
    progress.reset();
    counters_.replayed_requests.add();
    if (!still_waits) again.push(request);
  });
  while (!waiting_.empty()) again.push(waiting_.pop());
  waiting_ = again;
  counters_.outstanding.set(0);
}

void Lane::break_link(RingFault fault) noexcept {
  slot_.report_fault(fault);
  phase_ = LinkPhase::kBroken;
  leave_connection();
}

// Precondition: given_up(), and nothing is in a ring any more.
void Lane::give_up_everything() noexcept {
  while (!waiting_.empty()) {
    BlockRequest& request = waiting_.pop();
    Progress(request).note(IoStatus::kGone);
    ready_.push(request);
  }
}

// ---- sleeping --------------------------------------------------------------------------------

// The channel is acknowledged here and not on waking: late, so that a storm of signals is held back
// until we are idle again, and off the way between an answer and the next request.
bool Lane::do_prepare_to_wait() noexcept {
  if (slot_.changes() != seen_changes_ || !ready_.empty()) return false;
  if (given_up() && !waiting_.empty()) return false;
  if (armed_) {
    if (connection_) (void)connection_->channel->acknowledge();
    if (answered_ == answered_when_armed_)
      throttle();
    else
      spurious_in_a_row_ = 0;
  }
  armed_ = true;
  answered_when_armed_ = answered_;
  return !connection_ || connection_->ring.rearm() == RingState::kEmpty;
}

// Woken, and nothing was there: a stale signal, or a backend that rings for nothing (F13). Such a
// backend gets at most one look a millisecond, and its own answers late.
void Lane::throttle() noexcept {
  counters_.spurious_wakeups.add();
  slot_.lane_wake().clear();
  if (++spurious_in_a_row_ <= kSpuriousTolerated) return;
  counters_.throttled_wakeups.add();
  if (slot_.changes() != seen_changes_) return;
  pollfd wake{slot_.lane_wake().fd(), POLLIN, 0};
  ::poll(&wake, 1, kThrottleMs);
}

// Directly on both descriptors: through the epoll one a wake-up takes longer.
void Lane::do_sleep() noexcept {
  if (!prepare_to_wait()) return;
  std::array<pollfd, 2> entries{};
  entries[0] = {slot_.lane_wake().fd(), POLLIN, 0};
  if (connection_) entries[1] = {connection_->channel->fd(), POLLIN, 0};
  ::poll(entries.data(), connection_ ? 2 : 1, -1);
  counters_.wakeups.add();
}

}  // namespace splitring::frontend
