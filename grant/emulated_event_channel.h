// EventChannel of the emulated host: two eventfds, one to wait on and one to ring.
//
// The hypervisor's server is needed to make and to close a channel, not to ring it, and a peer that
// has gone does not disturb: its end of the eventfds stays valid. Both ends share an eventfd's
// flags, so nobody who may connect (this user and root) is kept from making it a blocking one.
#pragma once

#include <filesystem>
#include <memory>

#include "base/unique_fd.h"
#include "grant/emulated_connection.h"
#include "grant/event_channel.h"

namespace splitring {

class EmulatedEventChannel final : public EventChannel {
 public:
  static Result<std::unique_ptr<EmulatedEventChannel>> offer(
      const std::filesystem::path& socket_path, DomId peer);
  static Result<std::unique_ptr<EmulatedEventChannel>> bind(
      const std::filesystem::path& socket_path, DomId peer, Port remote);
  ~EmulatedEventChannel() override;

  [[nodiscard]] Port port() const override { return port_; }
  [[nodiscard]] int fd() const override { return incoming_.get(); }
  Result<> notify() override;
  Result<> acknowledge() override;

 private:
  explicit EmulatedEventChannel(EmulatedConnection connection)
      : connection_(std::move(connection)) {}
  template <class Request>
  Result<> make_port(const Request& request);

  EmulatedConnection connection_;
  Port port_{};
  UniqueFd incoming_;
  UniqueFd outgoing_;
};

}  // namespace splitring
