// Where an emulated host keeps its sockets: DIR/<domid>/xenstored, DIR/<domid>/hypervisor, and
// DIR/lock, which the running host holds. Whoever may reach a domain's folder speaks for it.
#pragma once

#include <filesystem>
#include <string>

#include "grant/types.h"

namespace splitring {

inline constexpr char kEmulatedStoreSocket[] = "xenstored";
inline constexpr char kEmulatedHypervisorSocket[] = "hypervisor";
inline constexpr char kEmulatedLock[] = "lock";

inline std::filesystem::path emulated_domain_directory(const std::filesystem::path& directory,
                                                       DomId domain) {
  return directory / std::to_string(raw(domain));
}
inline std::filesystem::path emulated_store_socket(const std::filesystem::path& directory,
                                                   DomId domain) {
  return emulated_domain_directory(directory, domain) / kEmulatedStoreSocket;
}
inline std::filesystem::path emulated_hypervisor_socket(const std::filesystem::path& directory,
                                                        DomId domain) {
  return emulated_domain_directory(directory, domain) / kEmulatedHypervisorSocket;
}

}  // namespace splitring
