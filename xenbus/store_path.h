// Names of store nodes. Pure.
//
// Inside the server every path is absolute and valid: "/" or "/name/name...", names made of
// letters, digits and "-_@", no empty name, no slash at the end. Source: Xen's
// docs/misc/xenstore.txt (4.17) and public/io/xs_wire.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "grant/types.h"
#include "xenbus/store_error.h"

namespace splitring {

inline constexpr size_t kStoreAbsolutePathMax = 3072;  // xs_wire.h: XENSTORE_ABS_PATH_MAX
inline constexpr size_t kStoreRelativePathMax = 2048;  // xs_wire.h: XENSTORE_REL_PATH_MAX

inline constexpr std::string_view kIntroduceDomain = "@introduceDomain";
inline constexpr std::string_view kReleaseDomain = "@releaseDomain";

// The form that is described above, and not longer than kStoreAbsolutePathMax.
[[nodiscard]] bool is_valid_store_path(std::string_view path);

// What a client sent, made absolute: a path without a leading slash is below the home of `domain`.
// Error: kInvalid for whatever is not a valid path (the special watches' names are not: X2).
[[nodiscard]] StoreResult<std::string> resolve_store_path(std::string_view path, DomId domain);

[[nodiscard]] inline bool is_special_watch(std::string_view path) {
  return path == kIntroduceDomain || path == kReleaseDomain;
}

// "/local/domain/5".
[[nodiscard]] std::string store_home(DomId domain);

// Precondition: `path` is valid and not "/".
[[nodiscard]] std::string_view parent_store_path(std::string_view path);

// What the paths of all nodes below `path` begin with: "/a/" for "/a", "/" for "/".
[[nodiscard]] std::string store_children_prefix(std::string_view path);

// Orders paths so that a node is followed at once by everything below it (a slash sorts before any
// other character). With that a subtree is a range of a map, and no walk needs recursion (X8).
struct StorePathLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

// Sorts behind all that is at or below `path`, and before whatever else follows it in that order.
[[nodiscard]] std::string store_subtree_end(std::string_view path);

}  // namespace splitring
