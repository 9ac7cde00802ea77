// Compression of what is worth it, once, for answers that are kept. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tools/kiosk/content/representation.h"

namespace splitring::kiosk {

// Below it a packet is a packet; above it the thread's other clients would notice.
inline constexpr size_t kLeastCompressed = 512;
inline constexpr size_t kMostCompressed = size_t{256} << 10;

// Text, of which half is saved; pictures, archives and films are compressed already.
[[nodiscard]] bool is_compressible(std::string_view content_type);

// The first coding of the choice that we can make: kIdentity if there is none.
[[nodiscard]] Coding coding_to_make(const CodingChoice& choice);

// Nothing: it does not pay (less than a tenth saved).
[[nodiscard]] std::optional<std::string> compress(Coding coding, std::span<const std::byte> bytes);

}  // namespace splitring::kiosk
