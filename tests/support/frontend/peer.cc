#include "tests/support/frontend/peer.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <chrono>
#include <cstring>
#include <future>
#include <stdexcept>
#include <thread>

#include "tests/support/device_conformance.h"

namespace splitring::testing {
namespace {

constexpr int kPatienceMs = 60'000;

void must_do(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().what);
}

void wait_readable(int fd, const char* what) {
  pollfd entry{fd, POLLIN, 0};
  if (::poll(&entry, 1, kPatienceMs) != 1)
    throw std::runtime_error(std::string("waited in vain for ") + what);
}

}  // namespace

Peer::Peer(const EmulatedMachineThread& machine, const PeerOptions& options)
    : host_(machine.host(0)), options_(options) {
  DevicePath path;
  path.frontend = DomId{1};
  path.device = kXvda;
  backend_directory_ = path.backend_directory();
  frontend_directory_ = path.frontend_directory();
  store_ = must(host_->open_store());
  grants_ = must(host_->open_grant_table());
  image_.resize(options_.disk.capacity.bytes());
  attach();
  must_do(store_->watch(frontend_directory_ + "/state", "state"));
}

Peer::~Peer() { let_go(); }

// What libxl writes.
void Peer::attach() {
  using Rights = StorePermission::Rights;
  StoreView& store = store_->now();
  for (const auto& [directory, owner, reader] :
       {std::tuple{backend_directory_, 0, 1}, std::tuple{frontend_directory_, 1, 0}}) {
    must_do(store.make_directory(directory));
    must_do(
        store.set_permissions(directory, {{DomId{static_cast<uint16_t>(owner)}, Rights::kNone},
                                          {DomId{static_cast<uint16_t>(reader)}, Rights::kRead}}));
  }
  must_do(store.write(backend_directory_ + "/frontend", frontend_directory_));
  must_do(store.write(backend_directory_ + "/frontend-id", "1"));
  must_do(store.write(backend_directory_ + "/online", "1"));
  must_do(store.write(backend_directory_ + "/mode", options_.disk.read_only ? "r" : "w"));
  must_do(store.write(frontend_directory_ + "/backend", backend_directory_));
  must_do(store.write(frontend_directory_ + "/backend-id", "0"));
  must_do(store.write(frontend_directory_ + "/trusted", options_.trusted ? "1" : "0"));
  must_do(store.write(frontend_directory_ + "/state", "1"));
  must_do(store.write(backend_directory_ + "/state", "1"));
}

void Peer::write(const std::string& node, const std::string& value) {
  must_do(store_->now().write(backend_directory_ + "/" + node, value));
}

std::string Peer::read_frontend_node(const std::string& node) {
  return must(read_optional(store_->now(), frontend_directory_ + "/" + node)).value_or("");
}

void Peer::set_state(XenbusState state) {
  must_do(write_state(store_->now(), backend_directory_, state));
}

XenbusState Peer::frontend_state() { return must(read_state(store_->now(), frontend_directory_)); }

void Peer::wait_for_frontend(XenbusState state) {
  while (frontend_state() != state) {
    wait_readable(store_->fd(), to_string(state));
    while (store_->next_event()) {
    }
  }
}

void Peer::remove_directory() { must_do(store_->now().remove(backend_directory_)); }

void Peer::offer(const Last& last) {
  must_do(write_offer(store_->now(), backend_directory_, options_.offer));
  if (last) last();
  set_state(XenbusState::kInitWait);
}

void Peer::accept(const Last& last) {
  wait_for_frontend(XenbusState::kInitialised);
  const FrontendNodes nodes =
      must(read_frontend(store_->now(), frontend_directory_, options_.offer));
  for (const QueueNodes& queue : nodes.queues) {
    Lane lane;
    lane.pages = must(grants_->map(DomId{1}, queue.ring_refs, Access::kReadWrite));
    lane.channel = must(host_->bind_channel(DomId{1}, queue.event_channel));
    lane.ring = std::make_unique<BackRing<Wire>>(lane.pages.bytes());
    lanes_.push_back(std::move(lane));
  }
  must_do(write_disk(store_->now(), backend_directory_, options_.disk));
  if (last) last();
  set_state(XenbusState::kConnected);
}

void Peer::let_go() {
  lanes_.clear();
  pages_.clear();
}

std::optional<Wire::Request> Peer::try_take(size_t index) {
  BackRing<Wire>& ring = *lane(index).ring;
  if (ring.available() == 0 && ring.look() != RingState::kReady) return std::nullopt;
  Wire::Request request;
  ring.take(request);
  return request;
}

Wire::Request Peer::take(size_t index) {
  while (true) {
    if (auto request = try_take(index)) return *request;
    if (lane(index).ring->rearm() == RingState::kReady) continue;
    wait_readable(lane(index).channel->fd(), "a request");
    must_do(lane(index).channel->acknowledge());
  }
}

void Peer::answer(const Wire::Request& request, blkif::Status status, size_t index) {
  Wire::Indirect indirect;
  std::memcpy(&indirect, &request, sizeof indirect);
  const uint8_t operation =
      request.operation == blkif::kOpIndirect ? indirect.inner_operation : request.operation;
  answer_raw(request.id, operation, static_cast<int16_t>(status), index);
}

void Peer::answer_raw(uint64_t id, uint8_t operation, int16_t status, size_t index) {
  Lane& to = lane(index);
  to.ring->put(id, operation, static_cast<blkif::Status>(status));
  if (to.ring->publish()) must_do(to.channel->notify());
}

void Peer::poke_index(size_t offset, uint32_t value, size_t index) {
  SharedMemory::store_index(lane(index).pages.bytes().data() + offset, value);
  must_do(lane(index).channel->notify());
}

uint32_t Peer::peek_index(size_t offset, size_t index) {
  return SharedMemory::load_index(lane(index).pages.bytes().data() + offset);
}

std::span<std::byte> Peer::page(uint32_t ref) {
  auto at = pages_.find(ref);
  if (at == pages_.end()) {
    const GrantRef granted{ref};
    at = pages_
             .emplace(ref, must(grants_->map(DomId{1}, std::span(&granted, 1), Access::kReadWrite)))
             .first;
  }
  return at->second.bytes();
}

blkif::DiskLimits Peer::limits() const {
  blkif::DiskLimits limits;
  limits.capacity = options_.disk.capacity;
  limits.block_bytes = options_.disk.block_bytes;
  limits.read_only = options_.disk.read_only;
  limits.barrier_offered = options_.disk.barrier;
  limits.flush_offered = options_.disk.flush;
  limits.discard_offered = options_.disk.discard;
  limits.indirect_segments_offered = static_cast<uint16_t>(options_.offer.max_indirect_segments);
  return limits;
}

std::vector<blkif::CheckedSegment> Peer::segments(const Wire::Request& request) {
  blkif::CheckedRequest checked;
  const auto insist = [](blkif::Refusal refusal) {
    if (refusal != blkif::Refusal::kNone)
      throw std::runtime_error(std::string("a request is refused: ") + to_string(refusal));
  };
  insist(blkif::check_request<Wire>(request, limits(), checked));
  std::vector<blkif::CheckedSegment> result(
      checked.segments.begin(),
      checked.segments.begin() + (checked.indirect ? 0 : checked.segment_count));
  if (!checked.indirect) return result;
  std::vector<blkif::Segment> wire(checked.segment_count);
  std::memcpy(wire.data(), page(checked.indirect_pages[0]).data(),
              wire.size() * sizeof(blkif::Segment));
  result.resize(wire.size());
  insist(blkif::check_indirect_segments(wire, limits(), result, checked));
  return result;
}

blkif::Status Peer::execute(const Wire::Request& request) {
  blkif::CheckedRequest checked;
  const blkif::Refusal refusal = blkif::check_request<Wire>(request, limits(), checked);
  if (refusal != blkif::Refusal::kNone) return status_of(refusal);
  uint64_t at = checked.first.bytes();
  switch (checked.action) {
    case blkif::Action::kDiscard: std::memset(image_.data() + at, 0, checked.length.bytes()); break;
    case blkif::Action::kRead:
    case blkif::Action::kWrite:
      for (const auto& segment : segments(request)) {
        std::byte* const there = page(segment.ref).data() + segment.byte_offset;
        if (checked.action == blkif::Action::kRead)
          std::memcpy(there, image_.data() + at, segment.byte_count);
        else
          std::memcpy(image_.data() + at, there, segment.byte_count);
        at += segment.byte_count;
      }
      break;
    default: break;
  }
  return blkif::Status::kOkay;
}

size_t Peer::serve(size_t index) {
  size_t count = 0;
  while (const auto request = try_take(index)) {
    answer(*request, execute(*request), index);
    count++;
  }
  return count;
}

ServedPeer::ServedPeer(Peer& peer)
    : peer_(peer), stop_(::eventfd(0, EFD_CLOEXEC)), thread_([this] { run(); }) {}

ServedPeer::~ServedPeer() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ServedPeer::run() {
  while (true) {
    bool idle = true;
    for (size_t i = 0; i < peer_.lane_count(); i++) {
      if (peer_.serve(i) != 0) idle = false;
      if (peer_.lane(i).ring->rearm() != RingState::kEmpty) idle = false;
    }
    if (!idle) continue;
    std::vector<pollfd> entries{{stop_.get(), POLLIN, 0}};
    for (size_t i = 0; i < peer_.lane_count(); i++)
      entries.push_back({peer_.lane(i).channel->fd(), POLLIN, 0});
    ::poll(entries.data(), entries.size(), -1);
    if (entries[0].revents != 0) return;
    for (size_t i = 0; i < peer_.lane_count(); i++) (void)peer_.lane(i).channel->acknowledge();
  }
}

std::unique_ptr<frontend::Disk> connect(Host& host, Peer& peer,
                                        const frontend::DiskOptions& options) {
  auto disk =
      std::async(std::launch::async, [&] { return frontend::Disk::connect(host, kXvda, options); });
  peer.offer();
  peer.accept();
  return must(disk.get());
}

void eventually(const std::function<bool()>& condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      throw std::runtime_error(std::string("it never came to be: ") + what);
    std::this_thread::yield();
  }
}

}  // namespace splitring::testing
