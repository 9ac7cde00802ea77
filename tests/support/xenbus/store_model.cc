#include "tests/support/xenbus/store_model.h"

#include <utility>

namespace splitring::test {

namespace {

bool may(const std::vector<std::string>& permissions, int domain, char right) {
  const auto grants = [&](const std::string& entry) {
    return entry[0] == right || entry[0] == 'b';
  };
  const std::string name = std::to_string(domain);
  if (domain == 0 || permissions[0].substr(1) == name) return true;
  for (size_t i = 1; i < permissions.size(); i++) {
    if (permissions[i].substr(1) == name) return grants(permissions[i]);
  }
  return grants(permissions[0]);
}

bool owns(const std::vector<std::string>& permissions, int domain) {
  return domain == 0 || permissions[0].substr(1) == std::to_string(domain);
}

std::string parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_below(const std::string& path, const std::string& top) {
  return path != top && (top == "/" || path.rfind(top + "/", 0) == 0);
}

std::string list(const StoreModel::Tree& tree, const std::string& path) {
  std::string names;
  for (const auto& [each, node] : tree) {
    if (each != "/" && parent(each) == path) names += each.substr(each.rfind('/') + 1) + " ";
  }
  return names;
}

std::string joined(const std::vector<std::string>& permissions) {
  std::string text;
  for (const std::string& each : permissions) text += each + " ";
  return text;
}

}  // namespace

std::string StoreModel::ask(const Request& request, int transaction) {
  Effects effects;
  if (transaction == 0) {
    const Tree before = tree_;
    std::string answer = apply(tree_, request, effects);
    settle(before, effects);
    return answer;
  }
  Transaction& open = transactions_.at(transaction);
  open.requests.push_back(request);
  std::string answer = apply(open.tree, request, effects);
  open.seen.insert(effects.seen.begin(), effects.seen.end());
  open.seen.insert(effects.touched.begin(), effects.touched.end());
  return answer;
}

int StoreModel::begin() {
  transactions_.emplace(++last_transaction_, Transaction{tree_, clock_, {}, {}});
  return last_transaction_;
}

std::string StoreModel::commit(int transaction) {
  const Transaction ended = std::move(transactions_.extract(transaction).mapped());
  for (const std::string& path : ended.seen) {
    const auto touched = touched_at_.find(path);
    if (touched != touched_at_.end() && touched->second > ended.begun) return "error EAGAIN";
  }
  const Tree before = tree_;
  Effects effects;
  for (const Request& request : ended.requests) apply(tree_, request, effects);
  settle(before, effects);
  return "OK ";
}

std::set<std::string> StoreModel::events(int domain, const std::string& watched) const {
  std::set<std::string> paths;
  for (const Change& change : changes_) {
    if (change.path != watched && (change.exact_only || !is_below(change.path, watched))) continue;
    for (const auto& permissions : change.permissions) {
      if (may(permissions, domain, 'r')) paths.insert(change.path);
    }
  }
  return paths;
}

std::string StoreModel::apply(Tree& tree, const Request& request, Effects& effects) {
  const bool reads = request.kind == Kind::kRead || request.kind == Kind::kList ||
                     request.kind == Kind::kPermissions;
  std::string nearest = request.path;
  effects.seen.insert(nearest);
  while (!tree.contains(nearest)) {
    nearest = parent(nearest);
    effects.seen.insert(nearest);
  }
  const Node& node = tree.at(nearest);
  const bool allowed = request.kind == Kind::kSetPermissions
                           ? owns(node.permissions, request.domain)
                           : may(node.permissions, request.domain, reads ? 'r' : 'w');
  if (!allowed) return "error EACCES";
  const bool exists = nearest == request.path;
  if (!reads) return change(tree, request, effects);
  if (!exists) return "error ENOENT";
  if (request.kind == Kind::kRead) return node.value;
  return request.kind == Kind::kList ? list(tree, request.path) : joined(node.permissions);
}

std::string StoreModel::change(Tree& tree, const Request& request, Effects& effects) {
  const std::string& path = request.path;
  const bool exists = tree.contains(path);
  if (request.kind == Kind::kSetPermissions) {
    if (!exists) return "error ENOENT";
    if (request.domain != 0 &&
        request.permissions[0].substr(1) != tree[path].permissions[0].substr(1))
      return "error EPERM";
    tree[path].permissions = request.permissions;
  } else if (request.kind == Kind::kRemove) {
    if (path == "/") return "error EINVAL";
    if (!exists) return tree.contains(parent(path)) ? "OK " : "error ENOENT";
    effects.touched.insert(parent(path));
    const Tree all = tree;
    for (const auto& [each, node] : all) {
      if (!is_below(each, path)) continue;
      tree.erase(each);
      effects.touched.insert(each);
      effects.told.emplace_back(each, true);
    }
    tree.erase(path);
  } else {
    if (exists && request.kind == Kind::kMakeDirectory) return "OK ";
    std::string top = path;
    while (!tree.contains(top)) {
      effects.touched.insert(top);
      top = parent(top);
    }
    if (!exists) {
      effects.touched.insert(top);
      std::vector<std::string> permissions = tree[top].permissions;
      if (request.domain != 0)
        permissions[0] = permissions[0].substr(0, 1) + std::to_string(request.domain);
      for (std::string each = path; each != top; each = parent(each))
        tree[each] = {"", permissions};
    }
    tree[path].value = request.value;
  }
  effects.touched.insert(path);
  effects.told.emplace_back(path, false);
  return "OK ";
}

void StoreModel::settle(const Tree& before, const Effects& effects) {
  clock_++;
  for (const std::string& path : effects.touched) touched_at_[path] = clock_;
  for (const auto& [path, exact_only] : effects.told) {
    Change change{path, exact_only, {}};
    for (const Tree* tree : {&before, &std::as_const(tree_)}) {
      if (tree->contains(path)) change.permissions.push_back(tree->at(path).permissions);
    }
    if (change.permissions.empty()) continue;  // made and removed within one transaction
    if (path != "/" && tree_.contains(parent(path)))
      change.permissions.push_back(tree_.at(parent(path)).permissions);
    changes_.push_back(std::move(change));
  }
}

}  // namespace splitring::test
