// All that a hypervisor gives us: a store, grants, event channels. main() chooses which host; the
// rest of the code does not know whether it is Xen or the emulated one.
//
// Thread-safe: every open_* and channel call makes an independent handle for its caller's thread.
// The Host must outlive what it opened.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "grant/event_channel.h"
#include "grant/grant_share.h"
#include "grant/grant_table.h"
#include "grant/types.h"
#include "xenbus/store.h"

namespace splitring {

class Host {
 public:
  virtual ~Host() = default;

  // The domain that this process speaks for.
  [[nodiscard]] virtual DomId domain() const = 0;
  // For messages: "Xen" or "emulated host /run/splitring".
  [[nodiscard]] virtual std::string name() const = 0;

  virtual Result<std::unique_ptr<Store>> open_store() = 0;
  virtual Result<std::unique_ptr<GrantTable>> open_grant_table() = 0;
  virtual Result<std::unique_ptr<GrantShare>> open_grant_share() = 0;
  // A new port of ours that `peer` may bind.
  virtual Result<std::unique_ptr<EventChannel>> offer_channel(DomId peer) = 0;
  // Binds to a port that `peer` offered to us. Errors: kInvalid if it did not.
  virtual Result<std::unique_ptr<EventChannel>> bind_channel(DomId peer, Port remote) = 0;
};

struct HostOptions {
  // The directory of an emulated host. Unset: the environment's SPLITRING_HOST, else Xen if this
  // machine runs on it, else the directory that `splitring host` uses by default.
  std::optional<std::filesystem::path> emulated;
  // The domain to speak for on an emulated host. Unset: the environment's SPLITRING_DOMAIN, else 0.
  std::optional<DomId> domain;
};

// Opens what the options name and checks that it answers. The error says what to start.
Result<std::unique_ptr<Host>> open_host(const HostOptions& options);

// The directory of the emulated host that open_host() would look in. Nothing: it would open Xen.
std::optional<std::filesystem::path> emulated_directory(const HostOptions& options);

// Where `splitring host` puts its sockets when nobody says: $XDG_RUNTIME_DIR/splitring, or
// /run/splitring for root.
std::filesystem::path default_emulated_directory();

}  // namespace splitring
