#include "xenbus/store_tree.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace splitring {

namespace {

// How a transaction sees the tree: what was committed, but as it was at its beginning, then what it
// changed itself.
struct Layers {
  Layers(const StoreNodeMap& committed, const StoreTransaction* transaction)
      : maps{&committed, transaction ? &transaction->previous() : nullptr,
             transaction ? &transaction->writes() : nullptr},
        count(transaction ? 3 : 1) {}
  operator StoreLayers() const {  // NOLINT(google-explicit-constructor): is one
    return StoreLayers(maps).first(count);
  }

  std::array<const StoreNodeMap*, 3> maps;
  size_t count;
};

}  // namespace

StoreTree::StoreTree(const StoreLimits& limits) : limits_(limits) {
  const StorePermissions root{{DomId{0}, StorePermission::Rights::kNone}};
  for (const char* path : {"/", "/local", "/local/domain", "/tool", "/vm"})
    put_committed(path, make_node("", root));
}

StoreResult<StoreNodePtr> StoreTree::read(const StoreIdentity& who, StoreTransaction* transaction,
                                          const std::string& path) {
  return find_allowed(who, transaction, path, StoreRight::kRead);
}

StoreResult<StoreTree::Listing> StoreTree::list(const StoreIdentity& who,
                                                StoreTransaction* transaction,
                                                const std::string& path) {
  const StoreNodePtr node = TRY(find_allowed(who, transaction, path, StoreRight::kRead));
  return Listing{node->generation, child_names(Layers(committed_, transaction), path)};
}

StoreResult<> StoreTree::write(const StoreIdentity& who, StoreTransaction* transaction,
                               const std::string& path, std::string_view value) {
  const auto node = find_allowed(who, transaction, path, StoreRight::kWrite);
  if (!node) {
    if (node.error() != StoreErrc::kNotFound) return store_fail(node.error());
    return create(who, transaction, path, value);
  }
  const StoreNodePtr& before = *node;
  TRY_VOID(check_size(who, value, before->permissions.size()));
  StoreNodePtr after = make_node(value, before->permissions);
  put(transaction, path, after);
  note_change(transaction, {path, before, std::move(after), false});
  return {};
}

StoreResult<> StoreTree::make_directory(const StoreIdentity& who, StoreTransaction* transaction,
                                        const std::string& path) {
  const auto node = find_allowed(who, transaction, path, StoreRight::kWrite);
  if (node) return {};
  if (node.error() != StoreErrc::kNotFound) return store_fail(node.error());
  return create(who, transaction, path, "");
}

StoreResult<> StoreTree::remove(const StoreIdentity& who, StoreTransaction* transaction,
                                const std::string& path) {
  if (path == "/") return store_fail(StoreErrc::kInvalid);
  const auto node = find_allowed(who, transaction, path, StoreRight::kWrite);
  if (node) return remove_subtree(transaction, path);
  if (node.error() != StoreErrc::kNotFound) return store_fail(node.error());
  if (TRY(look(transaction, std::string(parent_store_path(path))))) return {};
  return store_fail(StoreErrc::kNotFound);
}

StoreResult<> StoreTree::set_permissions(const StoreIdentity& who, StoreTransaction* transaction,
                                         const std::string& path, StorePermissions permissions) {
  assert(!permissions.empty());
  const StoreNodePtr before = TRY(find_allowed(who, transaction, path, StoreRight::kOwn));
  if (!who.is_privileged()) {
    if (permissions.size() > limits_.permissions) return store_fail(StoreErrc::kNoSpace);
    if (permissions.front().domain != before->permissions.front().domain)
      return store_fail(StoreErrc::kNotPermitted);
  }
  TRY_VOID(check_size(who, before->value, permissions.size()));
  StoreNodePtr after = make_node(before->value, std::move(permissions));
  put(transaction, path, after);
  note_change(transaction, {path, before, std::move(after), false});
  return {};
}

StoreTransaction* StoreTree::begin(const StoreIdentity& who) {
  const size_t nodes_max =
      who.is_privileged() ? limits_.privileged_transaction_nodes : limits_.transaction_nodes;
  return &open_.emplace_back(nodes_max);
}

StoreResult<> StoreTree::commit(const StoreIdentity& who, StoreTransaction* transaction) {
  const auto at = std::ranges::find_if(open_, [&](auto& each) { return &each == transaction; });
  assert(at != open_.end());
  // Off the list, so that its own changes are not handed to it.
  std::list<StoreTransaction> ended;
  ended.splice(ended.begin(), open_, at);
  if (transaction->conflicts()) return store_fail(StoreErrc::kConflict);
  TRY_VOID(check_transaction_quota(who, *transaction));
  for (const auto& [path, exact_only] : transaction->changes()) {
    StoreNodePtr before = find_node(Layers(committed_, nullptr), path);
    StoreNodePtr after = find_node(Layers(committed_, transaction), path);
    if (before || after)
      changes_.push_back({path, std::move(before), std::move(after), exact_only});
  }
  for (const auto& [path, node] : transaction->writes()) put_committed(path, node);
  return {};
}

void StoreTree::abort(StoreTransaction* transaction) {
  open_.remove_if([&](const StoreTransaction& each) { return &each == transaction; });
}

void StoreTree::forget_domain(DomId domain) {
  for (StoreTransaction& transaction : open_) {
    if (transaction.writes_mention(domain)) transaction.give_up();
  }
  const std::string home = store_home(domain);
  const StoreNodeMap nodes = committed_;
  for (const auto& [path, node] : nodes) {
    if (!committed_.contains(path)) continue;  // removed along with one above
    const bool owned = node->permissions.front().domain == domain;
    if (path != "/" && (owned || path == home)) {
      // Cannot fail: without a transaction there is no bound on the nodes removed.
      (void)remove_subtree(nullptr, path);
    } else if (mentions(node->permissions, domain)) {
      StorePermissions rest = node->permissions;
      if (owned) rest.front() = {DomId{0}, StorePermission::Rights::kNone};
      std::erase_if(rest, [&](const StorePermission& each) { return each.domain == domain; });
      // Not `node`: removing a child has made a new form of it.
      put_committed(path, make_node(committed_.find(path)->second->value, std::move(rest)));
    }
  }
}

std::vector<StoreChange> StoreTree::take_changes() { return std::exchange(changes_, {}); }

bool StoreTree::may_see(const StoreIdentity& who, const StoreChange& change) const {
  const auto readable = [&](const StoreNodePtr& node) {
    return node && allows(node->permissions, who, StoreRight::kRead);
  };
  if (readable(change.before) || readable(change.after)) return true;
  return change.path != "/" &&
         readable(find_node(Layers(committed_, nullptr), parent_store_path(change.path)));
}

size_t StoreTree::node_count(DomId owner) const {
  const auto it = owned_.find(owner);
  return it == owned_.end() ? 0 : it->second;
}

StoreResult<StoreNodePtr> StoreTree::look(StoreTransaction* transaction, const std::string& path) {
  if (transaction) TRY_VOID(transaction->access(path));
  return find_node(Layers(committed_, transaction), path);
}

StoreResult<StoreNodePtr> StoreTree::find_allowed(const StoreIdentity& who,
                                                  StoreTransaction* transaction,
                                                  const std::string& path, StoreRight right) {
  StoreNodePtr node = TRY(look(transaction, path));
  if (node) {
    if (!allows(node->permissions, who, right)) return store_fail(StoreErrc::kAccess);
    return node;
  }
  // Whether a node exists is told only to those who may look (or write) where it would be.
  std::string above = path;
  while (!node && above != "/") {
    above = parent_store_path(above);
    node = TRY(look(transaction, above));
  }
  const bool may_know = node && allows(node->permissions, who, right);
  return store_fail(may_know ? StoreErrc::kNotFound : StoreErrc::kAccess);
}

// Precondition: `path` is missing, and `who` may write the nearest node above that exists.
StoreResult<> StoreTree::create(const StoreIdentity& who, StoreTransaction* transaction,
                                const std::string& path, std::string_view value) {
  std::vector<std::string> missing;  // deepest first
  std::string above = path;
  StoreNodePtr existing;
  while (!existing) {
    missing.push_back(above);
    above = parent_store_path(above);
    existing = TRY(look(transaction, above));
  }
  StorePermissions permissions = existing->permissions;
  if (!who.is_privileged()) {
    permissions.front().domain = who.domain;
    auto owned = static_cast<int64_t>(node_count(who.domain) + missing.size());
    if (transaction && transaction->owned().contains(who.domain))
      owned += transaction->owned().at(who.domain);
    if (owned > static_cast<int64_t>(limits_.nodes)) return store_fail(StoreErrc::kNoSpace);
  }
  TRY_VOID(check_size(who, value, permissions.size()));
  // Its list of children changes, and with that its generation.
  put(transaction, above, make_node(existing->value, existing->permissions));
  for (size_t i = missing.size(); i-- > 1;)
    put(transaction, missing[i], make_node("", permissions));
  StoreNodePtr node = make_node(value, permissions);
  put(transaction, path, node);
  note_change(transaction, {path, nullptr, std::move(node), false});
  return {};
}

StoreResult<> StoreTree::check_size(const StoreIdentity& who, std::string_view value,
                                    size_t permission_count) const {
  const size_t bytes = value.size() + permission_count * sizeof(StorePermission);
  if (!who.is_privileged() && bytes > limits_.node_bytes) return store_fail(StoreErrc::kNoSpace);
  return {};
}

void StoreTree::put(StoreTransaction* transaction, const std::string& path, StoreNodePtr node) {
  if (!transaction) return put_committed(path, std::move(node));
  const StoreNodePtr before = find_node(Layers(committed_, transaction), path);
  if (before) transaction->count(before->permissions.front().domain, -1);
  if (node) transaction->count(node->permissions.front().domain, 1);
  transaction->put(path, std::move(node));
}

void StoreTree::note_change(StoreTransaction* transaction, StoreChange change) {
  if (transaction) {
    transaction->note_change(change.path, change.exact_only);
  } else {
    changes_.push_back(std::move(change));
  }
}

// Precondition: `path` exists and is not "/".
StoreResult<> StoreTree::remove_subtree(StoreTransaction* transaction, const std::string& path) {
  const StoreNodeMap gone = subtree(Layers(committed_, transaction), path);
  const std::string parent_path(parent_store_path(path));
  const StoreNodePtr parent = TRY(look(transaction, parent_path));
  if (transaction) {
    // All of them before the first change: a refusal leaves the transaction as it was.
    for (const auto& [each, node] : gone) TRY_VOID(transaction->access(each));
  }
  put(transaction, parent_path, make_node(parent->value, parent->permissions));
  for (const auto& [each, node] : gone) {
    put(transaction, each, nullptr);
    note_change(transaction, {each, node, nullptr, each != path});
  }
  return {};
}

StoreResult<> StoreTree::check_transaction_quota(const StoreIdentity& who,
                                                 const StoreTransaction& transaction) const {
  if (who.is_privileged()) return {};
  for (const auto& [domain, difference] : transaction.owned()) {
    if (raw(domain) == 0 || difference <= 0) continue;
    if (node_count(domain) + static_cast<size_t>(difference) > limits_.nodes)
      return store_fail(StoreErrc::kNoSpace);
  }
  return {};
}

void StoreTree::put_committed(const std::string& path, StoreNodePtr node) {
  const auto it = committed_.find(path);
  const bool exists = it != committed_.end();
  for (StoreTransaction& transaction : open_)
    transaction.keep_previous(path, exists ? it->second : nullptr);
  if (exists) owned_[it->second->permissions.front().domain]--;
  if (node) owned_[node->permissions.front().domain]++;
  if (node) {
    committed_.insert_or_assign(path, std::move(node));
  } else if (exists) {
    committed_.erase(it);
  }
}

StoreNodePtr StoreTree::make_node(std::string_view value, StorePermissions permissions) {
  return std::make_shared<const StoreNode>(
      StoreNode{std::string(value), std::move(permissions), ++generation_});
}

}  // namespace splitring
