#include "frontend/control.h"

#include <poll.h>

#include <algorithm>

#include "frontend/lane.h"
#include "ring/ring_layout.h"

namespace splitring::frontend {
namespace {

using std::chrono::milliseconds;

// Between attempts to reach a backend or store that does not want to, doubling from the first.
constexpr milliseconds kFirstNap{20};
constexpr milliseconds kLongestNap{1000};

uint32_t clamp_order(uint32_t order) { return std::min(order, kMaxRingPageOrder); }

}  // namespace

Result<std::unique_ptr<Control>> Control::connect(Host& host, uint32_t device,
                                                  const DiskOptions& options) {
  if (options.lanes == 0) return fail(Errc::kInvalid, "a disk of no lanes: ask for at least one");
  const auto deadline = Handshake::Clock::now() + options.connect_timeout;
  auto wake = TRY(WakeFd::create());
  auto signal = std::make_unique<ControlSignal>(std::move(wake));
  Handshake handshake = TRY(Handshake::open(host, device, *signal));
  std::unique_ptr<Control> control(
      new Control(host, options, std::move(signal), std::move(handshake)));
  control->share_ = TRY(host.open_grant_share());
  TRY_VOID(control->shake_hands(deadline));
  return control;
}

Control::Control(Host& host, const DiskOptions& options, std::unique_ptr<ControlSignal> signal,
                 Handshake handshake)
    : host_(host), options_(options), signal_(std::move(signal)), handshake_(std::move(handshake)) {
  signal_->on_wake = [this] { collect_retired(); };
}

Control::~Control() {
  signal_->stop.store(true, std::memory_order_release);
  signal_->wake.signal();
  if (thread_.joinable()) thread_.join();
  if (announced_) handshake_.close(Handshake::Clock::now() + options_.close_timeout);
}

void Control::start(std::function<void(Sectors)> resized) {
  resized_ = std::move(resized);
  thread_ = std::thread([this] { run(); });
}

// ---- connecting --------------------------------------------------------------------------------

uint32_t Control::ring_slots() const {
  const size_t bytes = size_t{kPageSize} << clamp_order(options_.max_ring_page_order);
  return static_cast<uint32_t>(std::bit_floor((bytes - RingLayout<NativeWire>::kSlots) /
                                              RingLayout<NativeWire>::kSlotBytes));
}

uint32_t Control::ring_page_order(const BackendOffer& offer) const {
  return std::min(clamp_order(options_.max_ring_page_order), offer.max_ring_page_order);
}

Result<Control::Slots> Control::make_slots_of(uint32_t pool_pages, const BackendOffer& offer) {
  uint32_t lanes = std::min(options_.lanes, offer.max_queues);
  if (options_.least_pool_pages)
    lanes = std::min(lanes, std::max(pool_pages / GrantedPool::kMinPages, 1U));
  const DomId backend = handshake_.device().backend;
  // Held until the pools are there: what is left then is enough for the rings.
  const auto room_for_rings =
      TRY(share_->share(backend, lanes << ring_page_order(offer), Access::kReadWrite));
  Slots slots;
  for (uint32_t i = 0; i < lanes; i++) {
    auto pool = TRY(GrantedPool::create(*share_, backend, pool_pages / lanes));
    slots.push_back(std::make_unique<LaneSlot>(std::move(pool), !handshake_.trusted(),
                                               TRY(WakeFd::create()), signal_->wake));
  }
  return slots;
}

Result<> Control::make_slots(const BackendOffer& offer) {
  for (uint32_t pages = options_.pool_pages;; pages /= 2) {
    auto slots = make_slots_of(pages, offer);
    if (slots) {
      slots_ = std::move(*slots);
      return {};
    }
    if (slots.error().code != Errc::kLimit || pages / 2 < options_.least_pool_pages.value_or(pages))
      return tl::unexpected<Error>(std::move(slots).error());
  }
}

Result<std::vector<std::unique_ptr<LaneConnection>>> Control::make_connections(
    const BackendOffer& offer, FrontendNodes& nodes) {
  const uint32_t order = ring_page_order(offer);
  const DomId backend = handshake_.device().backend;
  std::vector<std::unique_ptr<LaneConnection>> connections;
  nodes.protocol = std::string(to_string(blkif::kNativeAbi));
  nodes.persistent_grants = true;
  for (size_t i = 0; i < slots_.size(); i++) {
    auto pages = TRY(share_->share(backend, 1U << order, Access::kReadWrite));
    auto channel = TRY(host_.offer_channel(backend));
    nodes.queues.push_back(
        {std::vector<GrantRef>(pages->refs().begin(), pages->refs().end()), channel->port()});
    connections.push_back(std::make_unique<LaneConnection>(std::move(pages), std::move(channel)));
  }
  ring_pages_ = 1U << order;
  return connections;
}

Geometry Control::geometry_of(const DiskNodes& disk, uint32_t max_segments) const {
  Geometry geometry;
  geometry.capacity = disk.capacity;
  geometry.logical_block_bytes = disk.block_bytes;
  geometry.physical_block_bytes = disk.physical_block_bytes;
  geometry.read_only = options_.read_only || disk.read_only;
  geometry.needs_flush = disk.flush || disk.barrier;
  geometry.discard_granularity_bytes = disk.discard ? disk.discard_granularity_bytes : 0;
  geometry.largest_request_bytes = max_segments * kPageSize;
  return geometry;
}

// Of a disk that comes back: users rely on what they were told of it.
Result<> Control::check_disk(const DiskNodes& disk) const {
  if (disk.block_bytes != geometry_.logical_block_bytes)
    return fail(Errc::kPeer, "the disk came back with blocks of " +
                                 std::to_string(disk.block_bytes) + " bytes, it had " +
                                 std::to_string(geometry_.logical_block_bytes) + ": open it again");
  if (disk.read_only && !geometry_.read_only)
    return fail(Errc::kPeer, "the disk came back read-only: open it again");
  return {};
}

Result<> Control::shake_hands(Handshake::Deadline deadline) {
  const bool first_time = slots_.empty();
  const BackendOffer offer = TRY(handshake_.prepare(deadline));
  max_lanes_offered_ = offer.max_queues;
  instance_ = offer.instance;
  if (first_time) TRY_VOID(make_slots(offer));
  if (offer.max_queues < slots_.size())
    return fail(Errc::kPeer, "the backend came back with fewer queues than there are lanes (" +
                                 std::to_string(offer.max_queues) + " and " +
                                 std::to_string(slots_.size()) + "): open the disk again");
  FrontendNodes nodes;
  auto connections = TRY(make_connections(offer, nodes));
  announced_ = true;
  const DiskNodes disk = TRY(handshake_.connect(nodes, deadline));

  LaneLimits limits;
  limits.handle = static_cast<uint16_t>(device());
  limits.max_segments = std::max<uint32_t>(
      blkif::kMaxSegments, std::min(offer.max_indirect_segments, kMaxIndirectSegmentsUsed));
  if (disk.flush)
    limits.flush_operation = blkif::kOpFlushDiskcache;
  else if (disk.barrier)
    limits.flush_operation = blkif::kOpWriteBarrier;
  limits.discard = disk.discard;
  max_segments_ = limits.max_segments;
  if (first_time)
    geometry_ = geometry_of(disk, limits.max_segments);
  else
    TRY_VOID(check_disk(disk));

  capacity_ = disk.capacity;
  if (resized_) resized_(capacity_);
  answered_at_last_look_ = sum(&LaneCounters::answered);
  last_answer_ = Handshake::Clock::now();
  for (size_t i = 0; i < slots_.size(); i++) {
    connections[i]->limits = limits;
    slots_[i]->publish(std::move(connections[i]));
  }
  phase_ = LinkPhase::kConnected;
  return {};
}

// ---- watching --------------------------------------------------------------------------------

void Control::run() {
  while (!stopping()) {
    switch (serve()) {
      case End::kStopped: return;
      case End::kFault: return disable();
      case End::kStoreLost: regain_store(); break;
      case End::kBackendLeft:
        let_finish();
        set_phase(LinkPhase::kWaiting);
        break;
    }
    if (phase_ != LinkPhase::kConnected && !reconnect()) return;
  }
}

// Returns when the connection is over.
Control::End Control::serve() {
  while (true) {
    collect_retired();
    if (any_fault() || stalled()) return End::kFault;
    const auto state = handshake_.backend_state();
    if (!state) return End::kStoreLost;
    if (*state != XenbusState::kConnected) return End::kBackendLeft;
    refresh_capacity();
    Handshake::Deadline next_look;
    if (options_.request_timeout)
      next_look = Handshake::Clock::now() + *options_.request_timeout / 4 + milliseconds(1);
    const auto woken = handshake_.wait(next_look);
    if (woken || woken.error().code == Errc::kTimeout) continue;
    return woken.error().code == Errc::kClosed && stopping() ? End::kStopped : End::kStoreLost;
  }
}

// A backend writes the new size, then its state again; both are watched (F16).
void Control::refresh_capacity() {
  const auto disk = handshake_.read_disk_nodes();
  if (!disk) {
    set_last_error(disk.error().what);
    return;
  }
  if (disk->block_bytes != geometry_.logical_block_bytes || disk->capacity == capacity_) return;
  capacity_ = disk->capacity;
  resized_(capacity_);
}

// The backend is closing: what it has taken it still answers. Bounded by its state and our
// patience; a backend of another process has taken nothing.
void Control::let_finish() {
  const auto instance = handshake_.backend_instance();
  if (!instance || *instance != instance_) return;
  const auto deadline = Handshake::Clock::now() + options_.close_timeout;
  set_phase(LinkPhase::kDraining);
  while (sum(&LaneCounters::outstanding) != 0 && !any_fault()) {
    const auto state = handshake_.backend_state();
    if (!state || *state != XenbusState::kClosing) return;
    if (!handshake_.wait(deadline)) return;
  }
}

Handshake::Deadline Control::give_up_time() const {
  if (!options_.reconnect_timeout) return std::nullopt;
  return Handshake::Clock::now() + *options_.reconnect_timeout;
}

// Until connected again (true) or stopped.
bool Control::reconnect() {
  auto deadline = give_up_time();
  milliseconds pause = kFirstNap;
  while (!stopping()) {
    collect_retired();
    const auto done = shake_hands(deadline);
    if (done) {
      reconnects_.fetch_add(1, std::memory_order_relaxed);
      return true;
    }
    if (stopping()) return false;
    set_last_error(done.error().what);
    const auto online = handshake_.online();
    const bool taken_away = done.error().code == Errc::kClosed || (online && !*online);
    const bool too_late = deadline && Handshake::Clock::now() >= *deadline;
    if ((taken_away || too_late) && phase_ != LinkPhase::kGone) {
      set_phase(LinkPhase::kGone);
      deadline.reset();  // it may still come back
    }
    if (!online) regain_store();
    nap(pause);
    pause = std::min(pause * 2, kLongestNap);
  }
  return false;
}

// Rings go on without the store; only nobody hears of a backend that leaves.
void Control::regain_store() {
  const auto deadline = give_up_time();
  milliseconds pause = kFirstNap;
  while (!stopping()) {
    nap(pause);
    pause = std::min(pause * 2, kLongestNap);
    const auto reopened = handshake_.reopen(host_);
    if (reopened) return;
    set_last_error("the store has gone: " + reopened.error().what);
    if (deadline && Handshake::Clock::now() >= *deadline && phase_ != LinkPhase::kGone)
      set_phase(LinkPhase::kGone);
  }
}

// The backend broke the rules: no more I/O on this disk, and its end is told.
void Control::disable() {
  RingFault fault = stall_;
  for (const auto& slot : slots_)
    if (slot->fault() != RingFault::kNone) fault = slot->fault();
  const std::string message = std::string(to_string(fault)) + ": disabled for further use";
  set_last_error(message);
  set_phase(LinkPhase::kBroken);
  handshake_.report(message);
  (void)handshake_.set_state(XenbusState::kClosing);
  while (!stopping()) {
    collect_retired();
    const auto state = handshake_.backend_state();
    if (state && *state == XenbusState::kClosing) (void)handshake_.set_state(XenbusState::kClosed);
    if (!handshake_.wait(std::nullopt)) nap(kLongestNap);
  }
}

bool Control::stalled() {
  if (!options_.request_timeout) return false;
  const auto now = Handshake::Clock::now();
  const uint64_t answered = sum(&LaneCounters::answered);
  if (answered != answered_at_last_look_ || sum(&LaneCounters::outstanding) == 0) {
    answered_at_last_look_ = answered;
    last_answer_ = now;
    return false;
  }
  if (now - last_answer_ < *options_.request_timeout) return false;
  stall_ = RingFault::kStalled;
  return true;
}

// ---- small things ----------------------------------------------------------------------------

void Control::collect_retired() {
  for (const auto& slot : slots_) slot->drop_retired();
  quarantined_pages_ = share_->quarantined_pages();
}

bool Control::any_fault() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot->fault() != RingFault::kNone; });
}

uint64_t Control::sum(Counter LaneCounters::*counter) const {
  uint64_t total = 0;
  for (const auto& slot : slots_) total += (slot->counters().*counter).value();
  return total;
}

void Control::set_phase(LinkPhase phase) {
  phase_ = phase;  // first: who sees a request end may ask why
  for (const auto& slot : slots_) slot->set_phase(phase);
}

void Control::set_last_error(std::string what) {
  const std::lock_guard lock(error_mutex_);
  last_error_ = std::move(what);
}

void Control::nap(milliseconds time) {
  if (stopping()) return;
  pollfd entry{signal_->wake.fd(), POLLIN, 0};
  ::poll(&entry, 1, static_cast<int>(time.count()));
  if (entry.revents != 0) signal_->wake.clear();
}

DiskStatistics Control::statistics() const {
  DiskStatistics result;
  result.phase = phase_;
  {
    const std::lock_guard lock(error_mutex_);
    result.last_error = last_error_;
  }
  result.lanes = static_cast<uint32_t>(slots_.size());
  result.max_lanes_offered = max_lanes_offered_;
  result.ring_pages = ring_pages_;
  result.max_segments = max_segments_;
  result.trusted = handshake_.trusted();
  result.reconnects = reconnects_;
  result.quarantined_pages = quarantined_pages_;
  result.ring_requests = sum(&LaneCounters::ring_requests);
  result.indirect_requests = sum(&LaneCounters::indirect_requests);
  result.bounced_bytes = sum(&LaneCounters::bounced_bytes);
  result.notifications = sum(&LaneCounters::notifications);
  result.wakeups = sum(&LaneCounters::wakeups);
  result.spurious_wakeups = sum(&LaneCounters::spurious_wakeups);
  result.throttled_wakeups = sum(&LaneCounters::throttled_wakeups);
  result.replayed_requests = sum(&LaneCounters::replayed_requests);
  result.refused_flushes = sum(&LaneCounters::refused_flushes);
  return result;
}

}  // namespace splitring::frontend
