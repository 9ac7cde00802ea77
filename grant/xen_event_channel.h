// EventChannel of a real Xen: libxenevtchn over /dev/xen/evtchn.
//
// Each channel has a handle of its own, so that its fd() is about this port only and closing it
// closes the port, also when the process is killed. The other end's port stays and can be bound
// again (seen on Xen 4.17, with three backends killed in a row).
#pragma once

#include <memory>

#include "grant/event_channel.h"

struct xenevtchn_handle;

namespace splitring {

class XenEventChannel final : public EventChannel {
 public:
  // Errors of both: kUnsupported where there is no /dev/xen/evtchn; kPermission.
  static Result<std::unique_ptr<XenEventChannel>> offer(DomId peer);
  static Result<std::unique_ptr<XenEventChannel>> bind(DomId peer, Port remote);

  [[nodiscard]] Port port() const override { return port_; }
  [[nodiscard]] int fd() const override;
  Result<> notify() override;
  Result<> acknowledge() override;

 private:
  struct Close {
    void operator()(xenevtchn_handle* handle) const;
  };
  using Handle = std::unique_ptr<xenevtchn_handle, Close>;

  XenEventChannel(Handle handle, Port port) : handle_(std::move(handle)), port_(port) {}
  static Result<Handle> open();

  Handle handle_;
  Port port_;
};

}  // namespace splitring
