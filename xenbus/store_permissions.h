// Who may do what to a node. Pure.
//
// The first entry of a list names the owner, who may do everything, and what everyone not listed
// may do; the others say what one domain may do. Domain 0 may do everything. Source: Xen's
// docs/misc/xenstore.txt (4.17), "Permissions".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grant/types.h"
#include "xenbus/store.h"
#include "xenbus/store_error.h"

namespace splitring {

// Never empty where a node holds it.
using StorePermissions = std::vector<StorePermission>;

// Who asks: a domain, with the rights of the domain that it serves (XS_SET_TARGET), if any.
struct StoreIdentity {
  DomId domain;
  std::optional<DomId> target;

  [[nodiscard]] bool is_privileged() const { return raw(domain) == 0; }
};

enum class StoreRight { kRead, kWrite, kOwn };

[[nodiscard]] bool allows(const StorePermissions& permissions, const StoreIdentity& who,
                          StoreRight right);

// "n5": a letter of nrwb and a domain. Error: kInvalid.
[[nodiscard]] StoreResult<StorePermission> parse_store_permission(std::string_view text);
[[nodiscard]] std::string format_store_permission(const StorePermission& permission);

[[nodiscard]] bool mentions(const StorePermissions& permissions, DomId domain);

}  // namespace splitring
