// What a file is, by the end of its name. Pure.
#pragma once

#include <string_view>

namespace splitring::http {

// A Content-Type with a charset for text; application/octet-stream for what is not known.
[[nodiscard]] std::string_view content_type(std::string_view name);

}  // namespace splitring::http
