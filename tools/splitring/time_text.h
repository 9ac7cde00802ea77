// A time as a person reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace splitring::tools {

// "2026-11-22 18:03", in UTC. "-": not known, or beyond what the calendar holds.
[[nodiscard]] std::string format_time(std::optional<int64_t> unix_seconds);

}  // namespace splitring::tools
