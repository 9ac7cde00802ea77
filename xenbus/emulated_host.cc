#include "xenbus/emulated_host.h"

#include <string>
#include <utility>

#include "grant/emulated_connection.h"
#include "grant/emulated_event_channel.h"
#include "grant/emulated_grant_share.h"
#include "grant/emulated_grant_table.h"
#include "xenbus/emulated_paths.h"
#include "xenbus/xen_store.h"

namespace splitring {

EmulatedHost::EmulatedHost(std::filesystem::path directory, DomId domain)
    : directory_(std::move(directory)),
      domain_(domain),
      hypervisor_socket_(emulated_hypervisor_socket(directory_, domain)),
      store_socket_(emulated_store_socket(directory_, domain)) {}

Result<std::unique_ptr<EmulatedHost>> EmulatedHost::open(const std::filesystem::path& directory,
                                                         DomId domain) {
  std::unique_ptr<EmulatedHost> host(new EmulatedHost(directory, domain));
  const auto connection = TRY(EmulatedConnection::open(host->hypervisor_socket_));
  if (connection.domain() != domain)
    return fail(Errc::kPeer, host->hypervisor_socket_.string() + " speaks for domain " +
                                 std::to_string(raw(connection.domain())));
  return host;
}

std::string EmulatedHost::name() const { return "emulated host " + directory_.string(); }

Result<std::unique_ptr<Store>> EmulatedHost::open_store() { return open_xen_store(store_socket_); }

Result<std::unique_ptr<GrantTable>> EmulatedHost::open_grant_table() {
  return EmulatedGrantTable::open(hypervisor_socket_);
}

Result<std::unique_ptr<GrantShare>> EmulatedHost::open_grant_share() {
  return EmulatedGrantShare::open(hypervisor_socket_);
}

Result<std::unique_ptr<EventChannel>> EmulatedHost::offer_channel(DomId peer) {
  return EmulatedEventChannel::offer(hypervisor_socket_, peer);
}

Result<std::unique_ptr<EventChannel>> EmulatedHost::bind_channel(DomId peer, Port remote) {
  return EmulatedEventChannel::bind(hypervisor_socket_, peer, remote);
}

}  // namespace splitring
