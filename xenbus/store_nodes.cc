#include "xenbus/store_nodes.h"

#include <set>

namespace splitring {

namespace {

// Applies what one layer says of the names directly below `path` to `names`.
void apply_children(const StoreNodeMap& layer, std::string_view path,
                    std::set<std::string>& names) {
  const std::string prefix = store_children_prefix(path);
  auto it = path == "/" ? layer.upper_bound(path) : layer.lower_bound(prefix);
  while (it != layer.end() && it->first.starts_with(prefix)) {
    const std::string_view rest = std::string_view(it->first).substr(prefix.size());
    const std::string name(rest.substr(0, rest.find('/')));
    // A layer may have an entry below a child and none for the child itself.
    if (name.size() == rest.size()) {
      if (it->second) {
        names.insert(name);
      } else {
        names.erase(name);
      }
    }
    it = layer.lower_bound(store_subtree_end(prefix + name));
  }
}

}  // namespace

StoreNodePtr find_node(StoreLayers layers, std::string_view path) {
  for (size_t i = layers.size(); i-- > 0;) {
    const auto it = layers[i]->find(path);
    if (it != layers[i]->end()) return it->second;
  }
  return nullptr;
}

std::vector<std::string> child_names(StoreLayers layers, std::string_view path) {
  std::set<std::string> names;
  for (const StoreNodeMap* layer : layers) apply_children(*layer, path, names);
  return {names.begin(), names.end()};
}

StoreNodeMap subtree(StoreLayers layers, std::string_view path) {
  StoreNodeMap nodes;
  for (const StoreNodeMap* layer : layers) {
    const auto end = layer->lower_bound(store_subtree_end(path));
    for (auto it = layer->lower_bound(path); it != end; ++it) {
      if (it->second) {
        nodes.insert_or_assign(it->first, it->second);
      } else {
        nodes.erase(it->first);
      }
    }
  }
  return nodes;
}

}  // namespace splitring
