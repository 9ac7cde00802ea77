// The emulated host as one object: a store, a hypervisor, and the domains they both know.
//
// It owns a directory (emulated_paths.h), of mode 0700 and this user's. A lock keeps a second host
// out for as long as this one lives; what a dead one left is taken over.
//
// Domain 0 is there from the beginning to the end. Domain 0's clients may make and destroy others
// (grant/emulated_control.h), as create_domain() and destroy_domain() do.
//
// One thread. Poll fd() and call process() when it is readable; it never blocks.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_server.h"
#include "grant/types.h"
#include "xenbus/emulated_store_server.h"

namespace splitring {

struct EmulatedMachineLimits {
  HypervisorLimits hypervisor;
  StoreLimits store;
};

class EmulatedMachine {
 public:
  // Errors: kBusy if a host already runs there; kPermission if the directory is not ours.
  static Result<std::unique_ptr<EmulatedMachine>> create(const std::filesystem::path& directory,
                                                         const EmulatedMachineLimits& limits = {});
  ~EmulatedMachine();
  EmulatedMachine(const EmulatedMachine&) = delete;
  EmulatedMachine& operator=(const EmulatedMachine&) = delete;

  // Errors: kExists; kInvalid for a reserved number; kLimit.
  Result<> create_domain(DomId domain);
  // Its grants, ports and connections end first, then the store tells who watches @releaseDomain.
  // Errors: kNotFound; kInvalid for domain 0.
  Result<> destroy_domain(DomId domain);

  [[nodiscard]] int fd() const { return epoll_.get(); }
  void process();

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const EmulatedHypervisorServer& hypervisor() const { return *hypervisor_; }

 private:
  EmulatedMachine(std::filesystem::path directory, UniqueFd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}
  Result<> start(const EmulatedMachineLimits& limits);
  Result<> open_doors(DomId domain);

  std::filesystem::path directory_;
  UniqueFd lock_;
  UniqueFd epoll_;  // of the two servers' own
  std::unique_ptr<EmulatedStoreServer> store_;
  std::unique_ptr<EmulatedHypervisorServer> hypervisor_;
};

}  // namespace splitring
