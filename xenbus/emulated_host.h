// A Host that `splitring host` plays, for one of its domains (emulated_paths.h,
// emulated_machine.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "xenbus/host.h"

namespace splitring {

class EmulatedHost final : public Host {
 public:
  // Checks that the host answers and knows the domain. Errors: kNotFound, with what to start.
  static Result<std::unique_ptr<EmulatedHost>> open(const std::filesystem::path& directory,
                                                    DomId domain);

  [[nodiscard]] DomId domain() const override { return domain_; }
  [[nodiscard]] std::string name() const override;

  Result<std::unique_ptr<Store>> open_store() override;
  Result<std::unique_ptr<GrantTable>> open_grant_table() override;
  Result<std::unique_ptr<GrantShare>> open_grant_share() override;
  Result<std::unique_ptr<EventChannel>> offer_channel(DomId peer) override;
  Result<std::unique_ptr<EventChannel>> bind_channel(DomId peer, Port remote) override;

 private:
  EmulatedHost(std::filesystem::path directory, DomId domain);

  const std::filesystem::path directory_;
  const DomId domain_;
  const std::filesystem::path hypervisor_socket_;
  const std::filesystem::path store_socket_;
};

}  // namespace splitring
