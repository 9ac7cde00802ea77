#include "grant/xen_event_channel.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "grant/xen_errors.h"

extern "C" {
#include <xenevtchn.h>
}

namespace splitring {

void XenEventChannel::Close::operator()(xenevtchn_handle* handle) const { xenevtchn_close(handle); }

Result<XenEventChannel::Handle> XenEventChannel::open() {
  Handle handle(xenevtchn_open(nullptr, 0));
  if (handle == nullptr) return fail_opening_xen("/dev/xen/evtchn", "xen-evtchn", errno);
  const int fd = xenevtchn_fd(handle.get());
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("/dev/xen/evtchn", errno);
  return handle;
}

Result<std::unique_ptr<XenEventChannel>> XenEventChannel::offer(DomId peer) {
  Handle handle = TRY(open());
  const int port = xenevtchn_bind_unbound_port(handle.get(), raw(peer));
  if (port < 0) return fail_errno("offering a port to domain " + std::to_string(raw(peer)), errno);
  return std::unique_ptr<XenEventChannel>(
      new XenEventChannel(std::move(handle), Port{static_cast<uint32_t>(port)}));
}

Result<std::unique_ptr<XenEventChannel>> XenEventChannel::bind(DomId peer, Port remote) {
  Handle handle = TRY(open());
  const int port = xenevtchn_bind_interdomain(handle.get(), raw(peer), raw(remote));
  if (port < 0)
    return fail(Errc::kInvalid, "port " + std::to_string(raw(remote)) + " of domain " +
                                    std::to_string(raw(peer)) +
                                    " cannot be bound: " + std::strerror(errno));
  return std::unique_ptr<XenEventChannel>(
      new XenEventChannel(std::move(handle), Port{static_cast<uint32_t>(port)}));
}

int XenEventChannel::fd() const { return xenevtchn_fd(handle_.get()); }

Result<> XenEventChannel::notify() {
  if (xenevtchn_notify(handle_.get(), raw(port_)) != 0)
    return fail_errno("notifying port " + std::to_string(raw(port_)), errno);
  return {};
}

// Pending masks the port until it is unmasked; what arrives meanwhile is kept and comes after.
// Where nothing is pending its read does not block: see open().
Result<> XenEventChannel::acknowledge() {
  const int port = xenevtchn_pending(handle_.get());
  if (port < 0 && errno == EAGAIN) return {};
  if (port < 0 || xenevtchn_unmask(handle_.get(), static_cast<evtchn_port_t>(port)) != 0)
    return fail_errno("acknowledging port " + std::to_string(raw(port_)), errno);
  return {};
}

}  // namespace splitring
