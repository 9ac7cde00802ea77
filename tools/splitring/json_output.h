// JSON for scripts, on standard output.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>

namespace splitring::tools {

// Bytes that are no UTF-8 (a node of a hostile peer, say) are replaced, not an error.
inline void print_json(const nlohmann::json& json) {
  std::puts(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

}  // namespace splitring::tools
