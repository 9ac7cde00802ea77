// What a toolstack asks of the emulated hypervisor, through domain 0's socket: make and destroy
// domains, and count what each holds.
//
// One connection, one owner thread; blocks while the server answers.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "grant/emulated_connection.h"
#include "grant/emulated_hypervisor.h"
#include "grant/types.h"

namespace splitring {

class EmulatedControl {
 public:
  static Result<EmulatedControl> open(const std::filesystem::path& socket_path_of_domain_0);

  // Errors: kExists; kLimit.
  Result<> create_domain(DomId domain);
  // All its connections end; what others have mapped of it stays theirs until they unmap.
  // Errors: kNotFound; kInvalid for domain 0.
  Result<> destroy_domain(DomId domain);
  Result<std::vector<DomId>> domains();
  Result<DomainCounts> counts(DomId domain);

 private:
  explicit EmulatedControl(EmulatedConnection connection) : connection_(std::move(connection)) {}

  EmulatedConnection connection_;
};

}  // namespace splitring
