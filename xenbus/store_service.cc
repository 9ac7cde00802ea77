#include "xenbus/store_service.h"

#include <utility>

#include "xenbus/store_session.h"

namespace splitring {

namespace {

constexpr DomId kDomain0{0};

StorePermissions only_domain0() { return {{kDomain0, StorePermission::Rights::kNone}}; }

}  // namespace

StoreService::StoreService(const StoreLimits& limits) : limits_(limits), tree_(limits) {
  special_.emplace(kIntroduceDomain, only_domain0());
  special_.emplace(kReleaseDomain, only_domain0());
  (void)introduce(kDomain0);  // cannot fail: it is the first
}

StoreResult<> StoreService::introduce(DomId domain) {
  if (is_introduced(domain)) return store_fail(StoreErrc::kExists);
  domains_.emplace(domain, Domain{});
  const StoreIdentity host{kDomain0, std::nullopt};
  const std::string home = store_home(domain);
  TRY_VOID(tree_.make_directory(host, nullptr, home));
  const StorePermissions readable{{kDomain0, StorePermission::Rights::kNone},
                                  {domain, StorePermission::Rights::kRead}};
  const std::string number = std::to_string(raw(domain));
  for (const auto& [name, value] :
       {std::pair{"/domid", number}, std::pair{"/name", "Domain-" + number}}) {
    TRY_VOID(tree_.write(host, nullptr, home + name, value));
    TRY_VOID(tree_.set_permissions(host, nullptr, home + name, readable));
  }
  TRY_VOID(tree_.set_permissions(host, nullptr, home, {{domain, StorePermission::Rights::kNone}}));
  deliver_changes();
  fire_special(kIntroduceDomain);
  return {};
}

StoreResult<> StoreService::release(DomId domain) {
  if (domain == kDomain0) return store_fail(StoreErrc::kInvalid);
  const auto it = domains_.find(domain);
  if (it == domains_.end()) return store_fail(StoreErrc::kNotFound);
  // Closing takes a session off the set.
  for (StoreSession* session : std::set<StoreSession*>(it->second.sessions)) session->close();
  domains_.erase(it);
  for (auto& [id, other] : domains_) {
    if (other.target == domain) other.target.reset();
  }
  for (auto& [name, permissions] : special_) {
    const bool owned = permissions.front().domain == domain;
    std::erase_if(permissions, [&](const StorePermission& each) { return each.domain == domain; });
    if (owned) permissions.insert(permissions.begin(), only_domain0().front());
  }
  tree_.forget_domain(domain);
  deliver_changes();
  fire_special(kReleaseDomain);
  return {};
}

StoreResult<> StoreService::set_target(DomId domain, DomId target) {
  const auto it = domains_.find(domain);
  if (it == domains_.end() || !is_introduced(target)) return store_fail(StoreErrc::kNotFound);
  it->second.target = target;
  return {};
}

StoreIdentity StoreService::identity(DomId domain) const {
  return {domain, domains_.at(domain).target};
}

const StorePermissions& StoreService::special_permissions(std::string_view name) const {
  return special_.find(name)->second;
}

void StoreService::set_special_permissions(std::string_view name, StorePermissions permissions) {
  special_.find(name)->second = std::move(permissions);
}

void StoreService::deliver_changes() {
  for (const StoreChange& change : tree_.take_changes()) {
    for (const StoreWatches::Watch* watch : watches_.listeners(change.path, change.exact_only)) {
      if (tree_.may_see(identity(watch->domain), change)) watch->fire(change.path);
    }
  }
}

void StoreService::attach(StoreSession* session) {
  domains_.at(session->domain()).sessions.insert(session);
}

void StoreService::detach(StoreSession* session) {
  domains_.at(session->domain()).sessions.erase(session);
}

void StoreService::fire_special(std::string_view name) {
  for (const StoreWatches::Watch* watch : watches_.listeners(name, true)) {
    if (allows(special_permissions(name), identity(watch->domain), StoreRight::kRead))
      watch->fire(name);
  }
}

}  // namespace splitring
