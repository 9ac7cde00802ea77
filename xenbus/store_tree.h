// The store's nodes: who may read and change them, transactions over them, quotas. Pure: no I/O,
// no clock, no knowledge of connections. Behaves as xenstored (4.17) where a client can tell.
//
// Paths are absolute and valid (xenbus/store_path.h) but may here be longer than the wire allows.
// Not thread-safe. A StoreTransaction* is one that begin() gave and that has not ended; null means
// "directly on the committed tree".
//
// Errors, of every request: kAccess; kNotFound, only for those who may read (or write) the nearest
// node above that exists; kNoSpace for quotas.
#pragma once

#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store_limits.h"
#include "xenbus/store_nodes.h"
#include "xenbus/store_transaction.h"

namespace splitring {

// A committed change, for watches.
struct StoreChange {
  std::string path;
  StoreNodePtr before;  // empty: was created
  StoreNodePtr after;   // empty: was removed
  bool exact_only;      // removed along with a node above it: only for watches on this very path
};

class StoreTree {
 public:
  // Makes "/", "/local", "/local/domain", "/tool" and "/vm", of domain 0.
  explicit StoreTree(const StoreLimits& limits);

  struct Listing {
    uint64_t generation;
    std::vector<std::string> names;
  };

  StoreResult<StoreNodePtr> read(const StoreIdentity& who, StoreTransaction* transaction,
                                 const std::string& path);
  StoreResult<Listing> list(const StoreIdentity& who, StoreTransaction* transaction,
                            const std::string& path);
  // Makes missing parents. A new node has the permissions of the nearest node above that exists;
  // if an unprivileged domain makes it, it owns it.
  StoreResult<> write(const StoreIdentity& who, StoreTransaction* transaction,
                      const std::string& path, std::string_view value);
  // Leaves an existing node as it is.
  StoreResult<> make_directory(const StoreIdentity& who, StoreTransaction* transaction,
                               const std::string& path);
  // With everything below. Fine if only the node itself is missing. Error: kInvalid for "/".
  StoreResult<> remove(const StoreIdentity& who, StoreTransaction* transaction,
                       const std::string& path);
  // Error: kNotPermitted if an unprivileged domain names another owner.
  // Precondition: `permissions` is not empty.
  StoreResult<> set_permissions(const StoreIdentity& who, StoreTransaction* transaction,
                                const std::string& path, StorePermissions permissions);

  StoreTransaction* begin(const StoreIdentity& who);
  // Ends the transaction whatever comes of it. Error: kConflict.
  StoreResult<> commit(const StoreIdentity& who, StoreTransaction* transaction);
  void abort(StoreTransaction* transaction);

  // Removes the domain's home, every node that it owns (with what is below), and every right that
  // it has elsewhere; a transaction about to give it some conflicts (X9).
  void forget_domain(DomId domain);

  // What was committed since the last call, in order.
  std::vector<StoreChange> take_changes();

  // True if `who` may know of this change: it may read the node, before or after, or the node
  // above (X3).
  [[nodiscard]] bool may_see(const StoreIdentity& who, const StoreChange& change) const;

  [[nodiscard]] size_t node_count(DomId owner) const;
  // All that is committed. Valid until the next change.
  [[nodiscard]] const StoreNodeMap& nodes() const { return committed_; }

 private:
  StoreResult<StoreNodePtr> look(StoreTransaction* transaction, const std::string& path);
  StoreResult<StoreNodePtr> find_allowed(const StoreIdentity& who, StoreTransaction* transaction,
                                         const std::string& path, StoreRight right);
  StoreResult<> create(const StoreIdentity& who, StoreTransaction* transaction,
                       const std::string& path, std::string_view value);
  StoreResult<> check_size(const StoreIdentity& who, std::string_view value,
                           size_t permission_count) const;
  void put(StoreTransaction* transaction, const std::string& path, StoreNodePtr node);
  void note_change(StoreTransaction* transaction, StoreChange change);
  StoreResult<> remove_subtree(StoreTransaction* transaction, const std::string& path);
  StoreResult<> check_transaction_quota(const StoreIdentity& who,
                                        const StoreTransaction& transaction) const;
  void put_committed(const std::string& path, StoreNodePtr node);
  [[nodiscard]] StoreNodePtr make_node(std::string_view value, StorePermissions permissions);

  StoreLimits limits_;
  uint64_t generation_ = 0;
  StoreNodeMap committed_;  // no empty pointers
  std::map<DomId, size_t> owned_;
  std::list<StoreTransaction> open_;
  std::vector<StoreChange> changes_;
};

}  // namespace splitring
