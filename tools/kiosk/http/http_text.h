// The small languages of HTTP: dates, percent-encoding, quoting for HTML, lists of entity tags,
// ranges. Pure; callable from any thread. What comes in was written by a client: never trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace splitring::http {

// "Sun, 06 Nov 1994 08:49:37 GMT". Nothing for times outside the years 0 to 9999.
[[nodiscard]] std::optional<std::string> http_date(int64_t unix_seconds);
// That form only: RFC 9110 lets a server ignore what it cannot read.
[[nodiscard]] std::optional<int64_t> parse_http_date(std::string_view text);

// Nothing if a '%' is not followed by two hexadecimal digits, or stands for NUL.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
// Everything but letters, digits, "-._~" and '/', so that the result is safe in a URL, in a header
// and in an attribute of HTML.
[[nodiscard]] std::string percent_encode_path(std::string_view path);

[[nodiscard]] bool is_utf8(std::string_view text);
// Safe as text of HTML and within a quoted attribute. Bytes that are no UTF-8 and control
// characters become U+FFFD.
[[nodiscard]] std::string escape_html(std::string_view text);

[[nodiscard]] std::string_view trim(std::string_view text);
// ASCII's case only.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);
[[nodiscard]] bool starts_with_ignoring_case(std::string_view text, std::string_view start);
// Whether a list of tokens, as of Connection, holds one.
[[nodiscard]] bool list_holds(std::string_view list, std::string_view token);
// Whether a component of the path is "..".
[[nodiscard]] bool has_dot_dot(std::string_view path);

// If-Match and If-None-Match: "*", or a list that holds `tag`. Weakly, W/"a" is "a"; strongly it is
// nothing.
enum class EtagMatch : uint8_t { kWeak, kStrong };
[[nodiscard]] bool etag_list_holds(std::string_view list, std::string_view tag,
                                   EtagMatch match = EtagMatch::kWeak);

struct ByteRange {
  uint64_t first = 0;
  uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};
enum class RangeKind : uint8_t { kWhole, kPart, kUnsatisfiable };
// A Range header for a body of `size` bytes: the parts of it that exist, in the order asked for.
// More than `most` ranges, another unit or a malformed header is kWhole, and so are ranges that
// add up to more than the body: RFC 9110 14.2 lets a server ignore them.
[[nodiscard]] RangeKind parse_ranges(std::string_view header, uint64_t size, size_t most,
                                     std::vector<ByteRange>& ranges);

}  // namespace splitring::http
