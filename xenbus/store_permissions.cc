#include "xenbus/store_permissions.h"

#include <algorithm>

#include "base/parse.h"

namespace splitring {

namespace {

bool includes(StorePermission::Rights rights, StoreRight right) {
  using Rights = StorePermission::Rights;
  if (right == StoreRight::kRead) return rights == Rights::kRead || rights == Rights::kBoth;
  if (right == StoreRight::kWrite) return rights == Rights::kWrite || rights == Rights::kBoth;
  return false;
}

}  // namespace

bool allows(const StorePermissions& permissions, const StoreIdentity& who, StoreRight right) {
  const auto is_asker = [&](DomId id) { return id == who.domain || id == who.target; };
  if (who.is_privileged() || is_asker(permissions.front().domain)) return true;
  const auto entry =
      std::find_if(permissions.begin() + 1, permissions.end(),
                   [&](const StorePermission& each) { return is_asker(each.domain); });
  return includes(entry == permissions.end() ? permissions.front().rights : entry->rights, right);
}

StoreResult<StorePermission> parse_store_permission(std::string_view text) {
  if (text.empty() || std::string_view("nrwb").find(text.front()) == std::string_view::npos)
    return store_fail(StoreErrc::kInvalid);
  const auto domain = parse_decimal(text.substr(1), kFirstReservedDomId - 1);
  if (!domain) return store_fail(StoreErrc::kInvalid);
  return StorePermission{DomId{static_cast<uint16_t>(*domain)},
                         static_cast<StorePermission::Rights>(text.front())};
}

std::string format_store_permission(const StorePermission& permission) {
  return static_cast<char>(permission.rights) + std::to_string(raw(permission.domain));
}

bool mentions(const StorePermissions& permissions, DomId domain) {
  return std::ranges::any_of(permissions,
                             [&](const StorePermission& each) { return each.domain == domain; });
}

}  // namespace splitring
