// The store server without its sockets: the domains of the host, the tree, the watches, and who
// hears of what. Pure; not thread-safe; outlives its sessions (xenbus/store_session.h).
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "xenbus/store_limits.h"
#include "xenbus/store_tree.h"
#include "xenbus/store_watches.h"

namespace splitring {

class StoreSession;

class StoreService {
 public:
  // Domain 0 is there from the beginning.
  explicit StoreService(const StoreLimits& limits);

  // Makes /local/domain/<id>, owned by the domain, with "domid" and "name", which domain 0 owns and
  // the domain may read; fires @introduceDomain. Error: kExists.
  StoreResult<> introduce(DomId domain);
  // Ends its sessions, removes its tree and rights (X9), fires @releaseDomain. Errors: kNotFound;
  // kInvalid for domain 0.
  StoreResult<> release(DomId domain);
  [[nodiscard]] bool is_introduced(DomId domain) const { return domains_.contains(domain); }

  // Gives `domain` the rights of `target`. Error: kNotFound if one of them is not introduced.
  StoreResult<> set_target(DomId domain, DomId target);
  // Precondition: `domain` is introduced.
  [[nodiscard]] StoreIdentity identity(DomId domain) const;

  // Precondition: `name` is a special watch's.
  [[nodiscard]] const StorePermissions& special_permissions(std::string_view name) const;
  void set_special_permissions(std::string_view name, StorePermissions permissions);

  // Queues events of all that was committed since the last call.
  void deliver_changes();

  // How much of its quotas a domain uses. Precondition: it is introduced.
  struct Usage {
    size_t watches = 0;
    size_t transactions = 0;
  };
  Usage& usage(DomId domain) { return domains_.at(domain).usage; }

  [[nodiscard]] const StoreLimits& limits() const { return limits_; }
  [[nodiscard]] StoreTree& tree() { return tree_; }
  [[nodiscard]] StoreWatches& watches() { return watches_; }

 private:
  friend class StoreSession;
  void attach(StoreSession* session);
  void detach(StoreSession* session);

  struct Domain {
    std::optional<DomId> target;
    Usage usage;
    std::set<StoreSession*> sessions;
  };

  void fire_special(std::string_view name);

  StoreLimits limits_;
  StoreTree tree_;
  StoreWatches watches_;
  std::map<DomId, Domain> domains_;
  std::map<std::string, StorePermissions, std::less<>> special_;
};

}  // namespace splitring
