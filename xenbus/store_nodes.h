// Nodes by their paths, and layers of changes over them. Pure.
//
// A tree is a flat map in the order of StorePathLess: below a node is a range, so listing, walking
// and removing need no recursion whatever the depth (X8). A layer is a map of the same kind in
// which an empty pointer says "absent"; a transaction sees the committed tree through two layers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store_path.h"
#include "xenbus/store_permissions.h"

namespace splitring {

// Never changed once it is in a map: layers share it.
struct StoreNode {
  std::string value;
  StorePermissions permissions;
  // Of the last change of the node or of its list of children; unique in the life of the server.
  uint64_t generation;
};

using StoreNodePtr = std::shared_ptr<const StoreNode>;
using StoreNodeMap = std::map<std::string, StoreNodePtr, StorePathLess>;

// The bottom layer first. Layers hide what lies under them.
using StoreLayers = std::span<const StoreNodeMap* const>;

// The node that the topmost layer with an entry for `path` has; empty when absent.
[[nodiscard]] StoreNodePtr find_node(StoreLayers layers, std::string_view path);

// The names directly below `path`, in order.
[[nodiscard]] std::vector<std::string> child_names(StoreLayers layers, std::string_view path);

// All nodes at and below `path`, a parent before its children.
[[nodiscard]] StoreNodeMap subtree(StoreLayers layers, std::string_view path);

}  // namespace splitring
