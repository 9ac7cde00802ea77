#include "backend/ring_pump.h"

#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cstring>
#include <vector>

#include "backend/doorbell_back_off.h"
#include "backend/request_plan.h"

namespace splitring::backend {
namespace {

using blkif::CheckedRequest;
using blkif::Refusal;
using blkif::Status;
using Clock = LogLimit::Clock;

// Requests started before their answers are published: small enough that the frontend works on the
// first answers while we work on the next requests, large enough to share a doorbell.
constexpr uint32_t kBatch = 16;

// How often the capacity of an image is looked at. Here and not in the control thread: an image
// that hangs holds up nobody but its own rings (B37).
constexpr int kCapacityIntervalMs = 1000;

template <class Wire>
class RingPump final : public Pump {
 public:
  RingPump(const PumpParts& parts, PumpStart start)
      : parts_(parts),
        journal_(*parts.journal),
        ring_(ring_from(parts)),
        spin_(parts.polling),
        contexts_(ring_.slots()) {
    assert(journal_.slots() == ring_.slots());
    free_.reserve(ring_.slots());
    waiting_.reserve(ring_.slots());
    for (uint32_t i = ring_.slots(); i-- != 0;) {
      contexts_[i].pump = this;
      contexts_[i].slot = i;
      contexts_[i].complete = &RingPump::step_done;
      free_.push_back(i);
    }
    if (start == PumpStart::kGoOn) go_on();
  }

  // What is under way refers to us: there is no leaving by an exception.
  PumpEnd run() noexcept override {
    while (!parts_.stop->load(std::memory_order_relaxed) && !broken_) {
      if (turn()) continue;
      if (spin_.spin([&] { return something_to_do(); })) continue;
      sleep();
    }
    finish_in_flight();
    return broken_ ? PumpEnd::kBroken : PumpEnd::kStopped;
  }

  bool turn() override {
    now_ = Clock::now();
    if (now_ >= next_capacity_look_) look_at_capacity();
    bool moved = parts_.lane->poll() != 0;
    moved |= begin_waiting();
    moved |= take_requests();
    parts_.lane->kick();
    if (parts_.lane->in_flight() != 0) {
      now_ = Clock::now();
      moved |= parts_.lane->poll() != 0;
    }
    if (held_ != nullptr && parts_.lane->in_flight() == 0) {
      submit_step(*std::exchange(held_, nullptr));
      moved = true;
    }
    publish();
    return moved;
  }

  [[nodiscard]] bool broken() const override { return broken_; }

 private:
  struct Context : BlockRequest {
    RingPump* pump = nullptr;
    uint32_t slot = 0;  // of contexts_ and of DataPages: ours, never the peer's
    uint64_t id = 0;
    uint8_t response_operation = 0;
    uint8_t step = 0;
    Plan plan{};
    blkif::Action action{};
    Clock::time_point start{};
    uint64_t sector_count = 0;
    std::span<const iovec> data;
    DataHold hold;
  };

  // ---- going on with what another process has left ----

  static BackRing<Wire> ring_from(const PumpParts& parts) {
    const RingJournal& journal = *parts.journal;
    const auto unanswered = static_cast<uint32_t>(journal.unanswered().size());
    return {parts.ring_pages, journal.consumed_index(), journal.consumed_index() - unanswered};
  }

  // In the order of the ring, so that what has to be alone comes last, as when it was taken. The
  // doorbell rings in any case: the process before us may have ended before it did.
  void go_on() noexcept {
    now_ = Clock::now();
    for (const uint32_t slot : journal_.unanswered()) {
      std::erase(free_, slot);
      contexts_[slot].start = now_;
      waiting_.push_back(slot);
    }
    static_cast<void>(begin_waiting());
    ring_.publish_again();
    static_cast<void>(parts_.channel->notify());
  }

  // ---- what was taken and has no pages yet ----

  // The oldest first, and nothing is taken from the ring meanwhile. True if one has begun.
  bool begin_waiting() {
    if (waiting_.empty() || !pages_came_free_) return false;
    pages_came_free_ = false;
    size_t begun = 0;
    for (; begun < waiting_.size(); begun++) {
      const uint32_t slot = waiting_[begun];
      typename Wire::Request request;
      std::memcpy(&request, journal_.request(slot).data(), sizeof request);
      if (!begin(contexts_[slot], request)) break;
    }
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(begun));
    return begun != 0;
  }

  [[nodiscard]] bool may_take() const { return !alone_ && waiting_.empty(); }

  // ---- taking ----

  bool take_requests() {
    if (broken_ || !may_take()) return false;
    if (ring_.look() == RingState::kBroken) {
      ring_broke();
      return false;
    }
    const uint32_t count = std::min(ring_.available(), kBatch);
    if (woken_) note_wakeup(count != 0 || served_since_wakeup_);
    if (count != 0) take_seen(count);
    return count != 0;
  }

  // Fewer, if one of them must be alone, or waits for pages.
  void take_seen(uint32_t count) {
    served_since_wakeup_ = true;
    parts_.limits.capacity = parts_.lane->geometry().capacity;
    for (uint32_t i = 0; i < count && may_take(); i++) {
      typename Wire::Request request;
      ring_.take(request);
      // unanswered() never exceeds the slots, so there is a context for each.
      Context& context = contexts_[free_.back()];
      free_.pop_back();
      journal_.taken(context.slot, std::as_bytes(std::span(&request, 1)));
      context.start = now_;
      if (!begin(context, request)) waiting_.push_back(context.slot);
    }
  }

  // False: there are no pages for it now. Nothing has come of it then, and it begins again later.
  bool begin(Context& context, const typename Wire::Request& wire) {
    CheckedRequest request;
    Refusal refusal = blkif::check_request<Wire>(wire, parts_.limits, request);
    context.id = request.id;
    context.response_operation = request.response_operation;
    Acquisition got = Acquisition::kDone;
    if (refusal == Refusal::kNone && request.segment_count != 0)
      got = acquire_data(context, request, refusal);
    if (got == Acquisition::kNoPages) return false;
    if (refusal != Refusal::kNone)
      refuse(context, refusal);
    else if (got == Acquisition::kBadGrant)
      grant_failed(context);
    else
      start(context, request);
    return true;
  }

  // kDone with a refusal: the indirect segments are bad.
  Acquisition acquire_data(Context& context, CheckedRequest& request, Refusal& refusal) {
    const auto segments = parts_.data->segments(context.slot);
    if (request.indirect) {
      const auto wire = parts_.data->load_indirect(
          std::span(request.indirect_pages).first(request.indirect_page_count()),
          request.segment_count);
      if (wire.empty()) return Acquisition::kBadGrant;
      refusal = blkif::check_indirect_segments(wire, parts_.limits,
                                               segments.first(request.segment_count), request);
      if (refusal != Refusal::kNone) return Acquisition::kDone;
    } else {
      std::copy_n(request.segments.begin(), request.segment_count, segments.begin());
    }
    return parts_.data->acquire(context.slot, request.segment_count,
                                request.action == blkif::Action::kRead, context.hold, context.data);
  }

  void start(Context& context, const CheckedRequest& request) {
    context.action = request.action;
    context.plan = plan_of(request.action);
    context.step = 0;
    context.first = request.first;
    context.length = request.length;
    context.sector_count = request.length.count;
    if (context.plan.alone) {
      alone_ = true;
      held_ = &context;  // submitted when nothing is in flight
      return;
    }
    submit_step(context);
  }

  void look_at_capacity() {
    next_capacity_look_ = now_ + std::chrono::milliseconds(kCapacityIntervalMs);
    // An error keeps what is known: requests will tell.
    if (parts_.disk != nullptr) static_cast<void>(parts_.disk->refresh_capacity());
  }

  // ---- doing ----

  void submit_step(Context& context) {
    context.operation = context.plan.operations[context.step];
    const bool moves_data =
        context.operation == Operation::kRead || context.operation == Operation::kWrite;
    context.buffers = moves_data ? context.data : std::span<const iovec>();
    parts_.lane->submit(context);
  }

  static void step_done(BlockRequest& request) noexcept {
    auto& context = static_cast<Context&>(request);
    context.pump->next_step(context);
  }

  void next_step(Context& context) noexcept {
    IoStatus status = context.status;
    context.step++;
    if (status == IoStatus::kOk && context.step < context.plan.steps) return submit_step(context);
    const auto work = static_cast<size_t>(work_of(context.action));
    pages_came_free_ = true;
    if (!parts_.data->finish(context.slot, context.hold, status == IoStatus::kOk)) {
      parts_.counters->grant_errors.add();
      status = IoStatus::kIoError;
    } else if (status == IoStatus::kOk) {
      parts_.counters->requests[work].add();
      parts_.counters->sectors[work].add(context.sector_count);
    } else {
      parts_.counters->io_errors[work].add();
      complain("{} at sector {} failed: {}", to_string(context.operation), context.first.count,
               to_string(status));
    }
    if (context.plan.alone) alone_ = false;
    answer(context, status_from(status));
  }

  void refuse(Context& context, Refusal refusal) {
    parts_.counters->refusals[static_cast<size_t>(refusal)].add();
    complain("operation {} refused: {}", context.response_operation, blkif::to_string(refusal));
    answer(context, blkif::status_of(refusal));
  }

  void grant_failed(Context& context) {
    parts_.counters->grant_errors.add();
    complain("operation {}: a page is not granted to us", context.response_operation);
    answer(context, Status::kError);
  }

  void answer(Context& context, Status status) noexcept {
    ring_.put(context.id, context.response_operation, status);
    journal_.answered(context.slot);
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(now_ - context.start);
    parts_.counters->record_latency(static_cast<uint64_t>(took.count()));
    free_.push_back(context.slot);
  }

  void publish() {
    parts_.counters->in_flight.set(ring_.unanswered());
    if (broken_ || !ring_.publish()) return;
    parts_.counters->notifications.add();
    // A peer that has gone needs no doorbell.
    static_cast<void>(parts_.channel->notify());
  }

  // ---- waiting ----

  // Looks without acting: turn() does what there is to do.
  bool something_to_do() {
    return (may_take() && ring_.look() != RingState::kEmpty) ||
           (parts_.lane->in_flight() != 0 && !parts_.lane->prepare_to_wait()) ||
           parts_.stop->load(std::memory_order_relaxed);
  }

  // The doorbell is acknowledged here and not on waking: off the way between a request and its
  // answer, and a frontend that rings for nothing is not heard until we are idle again.
  void sleep() {
    if (signalled_) {
      signalled_ = false;
      static_cast<void>(parts_.channel->acknowledge());
    }
    if (may_take() && ring_.rearm() != RingState::kEmpty) return;
    if (!parts_.lane->prepare_to_wait()) return;
    const bool backing_off = back_off_.milliseconds() != 0;
    // While we take nothing a doorbell would only wake us to no purpose.
    const bool listening = !backing_off && may_take();
    std::array<pollfd, 3> fds = {
        {{parts_.stop_fd, POLLIN, 0},
         {parts_.lane->in_flight() != 0 ? parts_.lane->fd() : -1, POLLIN, 0},
         {listening ? parts_.channel->fd() : -1, POLLIN, 0}}};
    const int timeout = parts_.disk != nullptr ? kCapacityIntervalMs : -1;
    const int ready =
        ::poll(fds.data(), fds.size(), backing_off ? back_off_.milliseconds() : timeout);
    if (backing_off && ready == 0) back_off_.passed();
    if ((fds[2].revents & POLLIN) != 0) {
      parts_.counters->wakeups.add();
      signalled_ = true;
      woken_ = true;
    }
  }

  // Useful: there is a request, or there was one since the wake-up before, found by spinning or
  // when the disk woke us, whose doorbell came late.
  void note_wakeup(bool useful) {
    woken_ = false;
    served_since_wakeup_ = false;
    if (!useful) parts_.counters->spurious_wakeups.add();
    back_off_.note(useful);
  }

  // ---- ending ----

  void ring_broke() {
    broken_ = true;
    parts_.counters->broken_rings.add();
  }

  // What is in the ring by now counts: a frontend that closes may wait for its answers.
  void finish_in_flight() {
    now_ = Clock::now();
    drain();
    for (; begin_waiting(); drain()) {
    }
    if (broken_ || ring_.look() != RingState::kReady) return publish();
    for (; ring_.available() != 0 || !waiting_.empty(); drain())
      if (!begin_waiting()) take_seen(ring_.available());
    publish();
  }

  void drain() {
    for (parts_.lane->drain(); held_ != nullptr; parts_.lane->drain())
      submit_step(*std::exchange(held_, nullptr));
  }

  template <class... Args>
  void complain(fmt::format_string<Args...> format, Args&&... args) {
    const auto not_shown = parts_.log_limit->admit(now_);
    if (!not_shown) return;
    spdlog::warn("{}: {}{}", parts_.name, fmt::format(format, std::forward<Args>(args)...),
                 *not_shown == 0 ? std::string()
                                 : fmt::format(" ({} lines of this disk not shown)", *not_shown));
  }

  PumpParts parts_;
  RingJournal& journal_;
  BackRing<Wire> ring_;
  SpinWait spin_;
  std::vector<Context> contexts_;
  std::vector<uint32_t> free_;     // a stack of slots; never grows beyond its first size
  std::vector<uint32_t> waiting_;  // taken, and waiting for pages: slots, in the ring's order
  bool pages_came_free_ = true;    // since one of them was tried last
  Context* held_ = nullptr;        // taken, and waiting to be alone
  bool alone_ = false;             // a request that must be alone was taken: take no other
  bool broken_ = false;
  bool signalled_ = false;  // the doorbell that woke us is not acknowledged yet
  bool woken_ = false;      // by the frontend, and not yet looked why
  bool served_since_wakeup_ = false;
  DoorbellBackOff back_off_;
  Clock::time_point now_{};
  Clock::time_point next_capacity_look_{};
};

}  // namespace

std::unique_ptr<Pump> make_pump(blkif::Abi abi, const PumpParts& parts, PumpStart start) {
  if (abi == blkif::Abi::kX86_32) return std::make_unique<RingPump<blkif::Wire32>>(parts, start);
  return std::make_unique<RingPump<blkif::Wire64>>(parts, start);
}

}  // namespace splitring::backend
