// Strict readings of numbers that a person, a store node or an image wrote.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace splitring {

// Digits only: no sign, space, prefix or suffix; at least one; no value above `max`.
[[nodiscard]] std::optional<uint64_t> parse_decimal(
    std::string_view text, uint64_t max = std::numeric_limits<uint64_t>::max());

// What a person types for a size: "512", "64K", "64M", "2G", "1T" (powers of 1024; an optional
// "iB" or "B" behind the letter).
[[nodiscard]] Result<uint64_t> parse_size(std::string_view text);

// 1536 -> "1.5 KiB".
[[nodiscard]] std::string format_bytes(uint64_t bytes);

}  // namespace splitring
