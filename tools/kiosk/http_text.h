// The small languages of HTTP: dates, percent-encoding, quoting for HTML, lists of entity tags,
// ranges. Pure; callable from any thread. What comes in was written by a client: never trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace splitring::kiosk {

// "Sun, 06 Nov 1994 08:49:37 GMT". Nothing for times outside the years 0 to 9999.
[[nodiscard]] std::optional<std::string> http_date(int64_t unix_seconds);
// That form only: RFC 9110 lets a server ignore what it cannot read.
[[nodiscard]] std::optional<int64_t> parse_http_date(std::string_view text);

// Nothing if a '%' is not followed by two hexadecimal digits, or stands for NUL.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
// Everything but letters, digits, "-._~" and '/', so that the result is safe in a URL, in a header
// and in an attribute of HTML.
[[nodiscard]] std::string percent_encode_path(std::string_view path);

// Safe as text of HTML and within a quoted attribute. Bytes that are no UTF-8 and control
// characters become U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);

// If-None-Match: "*", or a list that holds `tag` (weak ones compare as strong).
[[nodiscard]] bool etag_list_holds(std::string_view list, std::string_view tag);

struct ByteRange {
  uint64_t first = 0;
  uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};
enum class RangeKind : uint8_t { kWhole, kPart, kUnsatisfiable };
// A Range header for a body of `size` bytes. More than one range, another unit or a malformed
// header is kWhole: RFC 9110 lets a server ignore them.
[[nodiscard]] RangeKind parse_range(std::string_view header, uint64_t size, ByteRange& range);

}  // namespace splitring::kiosk
