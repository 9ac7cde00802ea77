// GrantShare of the emulated host: each share is a sealed memfd of its own, made here and shown to
// the hypervisor's server, which gives out the references.
//
// Ending a share closes its memory here; a page that the peer still has mapped lives on in the
// peer's mapping only, so nothing that we put elsewhere later can show in it.
#pragma once

#include <filesystem>
#include <memory>

#include "grant/emulated_connection.h"
#include "grant/grant_share.h"

namespace splitring {

class EmulatedGrantShare final : public GrantShare {
 public:
  static Result<std::unique_ptr<EmulatedGrantShare>> open(const std::filesystem::path& socket_path);

  Result<std::unique_ptr<SharedPages>> share(DomId peer, uint32_t pages,
                                             Access peer_access) override;
  // 0 once the host has stopped.
  [[nodiscard]] size_t quarantined_pages() override;

 private:
  class Pages;

  explicit EmulatedGrantShare(EmulatedConnection connection) : connection_(std::move(connection)) {}

  EmulatedConnection connection_;
};

}  // namespace splitring
