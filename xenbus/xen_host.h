// A Host on a real Xen, in domain 0 or in a guest: gntdev, gntalloc, evtchn and the store, never
// privcmd.
#pragma once

#include <memory>
#include <string>

#include "xenbus/host.h"

namespace splitring {

// Whether this machine's kernel says that Xen runs below it.
[[nodiscard]] bool runs_on_xen();

class XenHost final : public Host {
 public:
  // Asks the store which domain we are. Errors: kUnsupported off Xen.
  static Result<std::unique_ptr<XenHost>> open();

  [[nodiscard]] DomId domain() const override { return domain_; }
  [[nodiscard]] std::string name() const override { return "Xen"; }

  Result<std::unique_ptr<Store>> open_store() override;
  Result<std::unique_ptr<GrantTable>> open_grant_table() override;
  Result<std::unique_ptr<GrantShare>> open_grant_share() override;
  Result<std::unique_ptr<EventChannel>> offer_channel(DomId peer) override;
  Result<std::unique_ptr<EventChannel>> bind_channel(DomId peer, Port remote) override;

 private:
  explicit XenHost(DomId domain) : domain_(domain) {}

  const DomId domain_;
};

}  // namespace splitring
