// The head of a response as it goes to the client: what a handler said and what the engine adds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/kiosk/http/response.h"

namespace splitring::http {

// "Sun, 06 Nov 1994 08:49:37 GMT": always as long.
inline constexpr size_t kHttpDateBytes = 29;

struct ResponseHead {
  std::string text;
  size_t date_at = 0;  // of the Date's value
};

enum class Persistence : uint8_t {
  kSilent,     // HTTP/1.1's default: stays open
  kKeepAlive,  // said to an HTTP/1.0 client that asked
  kClose,
};

// Up to and with the empty line. Date is blank: put one in. Unset length: no Content-Length (101,
// 304).
[[nodiscard]] ResponseHead make_head(const Response& response, std::optional<uint64_t> length,
                                     Persistence persistence = Persistence::kSilent);

}  // namespace splitring::http
