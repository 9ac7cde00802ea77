#include "xenbus/xen_host.h"

#include <fstream>
#include <optional>

#include "base/parse.h"
#include "grant/xen_event_channel.h"
#include "grant/xen_grant_share.h"
#include "grant/xen_grant_table.h"
#include "xenbus/xen_store.h"

namespace splitring {

bool runs_on_xen() {
  std::string type;
  std::ifstream file("/sys/hypervisor/type");
  return file >> type && type == "xen";
}

Result<std::unique_ptr<XenHost>> XenHost::open() {
  if (!runs_on_xen())
    return fail(Errc::kUnsupported,
                "this machine does not run on Xen; use an emulated host: `splitring host`");
  const auto store = TRY(open_xen_store(std::nullopt));
  // Relative: our own directory's. The toolstack writes it for domain 0, too.
  const std::string text = TRY(store->now().read("domid"));
  const auto number = parse_decimal(text, kFirstReservedDomId - 1);
  if (!number) return fail(Errc::kInvalid, "the store says that we are domain \"" + text + "\"");
  return std::unique_ptr<XenHost>(new XenHost(DomId{static_cast<uint16_t>(*number)}));
}

Result<std::unique_ptr<Store>> XenHost::open_store() { return open_xen_store(std::nullopt); }

Result<std::unique_ptr<GrantTable>> XenHost::open_grant_table() { return XenGrantTable::open(); }

Result<std::unique_ptr<GrantShare>> XenHost::open_grant_share() { return XenGrantShare::open(); }

Result<std::unique_ptr<EventChannel>> XenHost::offer_channel(DomId peer) {
  return XenEventChannel::offer(peer);
}

Result<std::unique_ptr<EventChannel>> XenHost::bind_channel(DomId peer, Port remote) {
  return XenEventChannel::bind(peer, remote);
}

}  // namespace splitring
