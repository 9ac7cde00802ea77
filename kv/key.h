// Keys: names in '/'-separated components, as every store spells them.
//
// Any bytes but '/' and NUL make a component, but for "." and "..": a store is not a place on the
// host, and there is no way up. Leading, doubled and trailing slashes are dropped; the empty key is
// the root, a dictionary. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace splitring::kv {

// Linux's PATH_MAX; and what bounds every walk.
inline constexpr size_t kMaxKeyBytes = 4096;
inline constexpr size_t kMaxKeyDepth = 256;

// Errors: kInvalid: "." or "..", NUL, too long, too deep.
[[nodiscard]] Result<std::string> normal_key(std::string_view key);
// Whether that would leave it as it is; costs no allocation.
[[nodiscard]] bool is_normal_key(std::string_view key);
// Whether it may stand between two slashes.
[[nodiscard]] bool is_key_component(std::string_view name);

// "directory/name"; a name alone below the root.
[[nodiscard]] std::string child_key(std::string_view directory, std::string_view name);

// For messages: quoted, cut, and every byte that is not printable ASCII as '?'.
[[nodiscard]] std::string printable_key(std::string_view key);

}  // namespace splitring::kv
