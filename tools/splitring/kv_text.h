// Keys and values as text: one line each, whatever bytes they hold.
//
// Escapes: \\ \t \n \r, and \xNN for any byte. Written are those, and \xNN for every other control
// character; all else stands for itself, so that names in UTF-8 stay readable. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace splitring::tools {

void append_escaped(std::string& out, std::string_view bytes);
[[nodiscard]] std::string escaped(std::string_view bytes);
// kInvalid: an escape that is none.
[[nodiscard]] Result<std::string> unescaped(std::string_view text);

// A string if it is UTF-8, else {"hex": "00ff"}.
[[nodiscard]] nlohmann::json bytes_as_json(std::string_view bytes);

}  // namespace splitring::tools
