#include "grant/emulated_event_channel.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace splitring {
namespace {

// A counter that is full is a signal that has not been taken yet.
Result<> ring(int event_fd) {
  const uint64_t one = 1;
  while (::write(event_fd, &one, sizeof one) < 0) {
    if (errno == EAGAIN) return {};
    if (errno != EINTR) return fail_errno("notifying an event channel", errno);
  }
  return {};
}

}  // namespace

template <class Request>
Result<> EmulatedEventChannel::make_port(const Request& request) {
  const auto reply = TRY(connection_.call_exactly<wire::PortReply>(request));
  const auto descriptors = connection_.descriptors();
  if (descriptors.size() != 2)
    return fail(Errc::kPeer, "the emulated host sent a port without its two doorbells");
  port_ = Port{uint32_t{reply.port}};
  incoming_ = std::move(descriptors[0]);
  outgoing_ = std::move(descriptors[1]);
  return {};
}

Result<std::unique_ptr<EmulatedEventChannel>> EmulatedEventChannel::offer(
    const std::filesystem::path& socket_path, DomId peer) {
  auto connection = TRY(EmulatedConnection::open(socket_path));
  std::unique_ptr<EmulatedEventChannel> channel(new EmulatedEventChannel(std::move(connection)));
  const wire::OfferRequest request{static_cast<uint32_t>(wire::Type::kOffer), raw(peer)};
  TRY_VOID(channel->make_port(request));
  return channel;
}

Result<std::unique_ptr<EmulatedEventChannel>> EmulatedEventChannel::bind(
    const std::filesystem::path& socket_path, DomId peer, Port remote) {
  auto connection = TRY(EmulatedConnection::open(socket_path));
  std::unique_ptr<EmulatedEventChannel> channel(new EmulatedEventChannel(std::move(connection)));
  const wire::BindRequest request{static_cast<uint32_t>(wire::Type::kBind), raw(peer), raw(remote)};
  TRY_VOID(channel->make_port(request));
  // What was rung while nobody was bound may be lost, so a binder begins with a signal (Xen's
  // evtchn_bind_interdomain). Ours to raise: the server never touches a doorbell, which a peer
  // could make it wait at.
  TRY_VOID(ring(channel->incoming_.get()));
  return channel;
}

// Not left to the connection's end, which the server may see only later: the port can be bound
// again as soon as this returns. If the host has stopped, so has the port.
EmulatedEventChannel::~EmulatedEventChannel() {
  if (incoming_)
    (void)connection_.call_exactly<wire::ReplyHeader>(
        wire::ClosePortRequest{static_cast<uint32_t>(wire::Type::kClosePort), raw(port_)});
}

Result<> EmulatedEventChannel::notify() { return ring(outgoing_.get()); }

Result<> EmulatedEventChannel::acknowledge() {
  uint64_t count = 0;
  while (::read(incoming_.get(), &count, sizeof count) < 0) {
    if (errno == EAGAIN) return {};
    if (errno != EINTR) return fail_errno("acknowledging an event channel", errno);
  }
  return {};
}

}  // namespace splitring
