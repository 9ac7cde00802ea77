// The strong ETag of what is sent, of its bytes alone. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace splitring::kiosk {

// Quoted. The same bytes have the same tag tomorrow and on another machine.
[[nodiscard]] std::string content_tag(std::span<const std::byte> bytes);

}  // namespace splitring::kiosk
