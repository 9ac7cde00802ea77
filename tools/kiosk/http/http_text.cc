#include "tools/kiosk/http/http_text.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "base/parse.h"

namespace splitring::http {
namespace {

constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::optional<unsigned> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// The length of the UTF-8 sequence that `text` begins with; 0 if there is none. Sources: Unicode
// 15 table 3-7 (no overlong forms, no surrogates, nothing above U+10FFFF).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto is_tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return is_tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f)) return 0;
    return is_tail(1) && is_tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) return 0;
    return is_tail(1) && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// "0-499", "500-", "-500". kWhole: none of these.
RangeKind parse_range(std::string_view text, uint64_t size, ByteRange& range) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return RangeKind::kWhole;
  const std::string_view first_text = text.substr(0, dash);
  const std::string_view last_text = text.substr(dash + 1);
  const auto first = parse_decimal(first_text);
  const auto last = parse_decimal(last_text);
  if ((!first && !first_text.empty()) || (!last && !last_text.empty())) return RangeKind::kWhole;
  if (!first) {
    // The last so many bytes.
    if (!last) return RangeKind::kWhole;
    if (*last == 0 || size == 0) return RangeKind::kUnsatisfiable;
    const uint64_t length = *last < size ? *last : size;
    range = {size - length, length};
    return RangeKind::kPart;
  }
  if (last && *last < *first) return RangeKind::kWhole;
  if (*first >= size) return RangeKind::kUnsatisfiable;
  const uint64_t end = last && *last < size - 1 ? *last + 1 : size;
  range = {*first, end - *first};
  return RangeKind::kPart;
}

}  // namespace

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

bool starts_with_ignoring_case(std::string_view text, std::string_view start) {
  return equal_ignoring_case(text.substr(0, start.size()), start);
}

bool list_holds(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (equal_ignoring_case(trim(list.substr(0, comma)), token)) return true;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return false;
}

bool has_dot_dot(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return false;
}

std::optional<std::string> http_date(int64_t unix_seconds) {
  using namespace std::chrono;
  constexpr int64_t kYearZero = -62167219200;
  constexpr int64_t kYear10000 = 253402300800;
  if (unix_seconds < kYearZero || unix_seconds >= kYear10000) return std::nullopt;
  const sys_seconds time{seconds(unix_seconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return std::string(text.data());
}

std::optional<int64_t> parse_http_date(std::string_view text) {
  using namespace std::chrono;
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() != 29) return std::nullopt;
  const auto number = [&](size_t at, size_t digits) {
    return parse_decimal(text.substr(at, digits)).value_or(10000);
  };
  unsigned month = 0;
  while (month < kMonths.size() && text.substr(8, 3) != kMonths[month]) month++;
  const year_month_day date(year(static_cast<int>(number(12, 4))), std::chrono::month(month + 1),
                            day(static_cast<unsigned>(number(5, 2))));
  const uint64_t hour = number(17, 2);
  const uint64_t minute = number(20, 2);
  const uint64_t second = number(23, 2);
  if (!date.ok() || date.year() > year(9999) || hour > 23 || minute > 59 || second > 60)
    return std::nullopt;
  const int64_t result = sys_seconds(sys_days(date)).time_since_epoch().count() +
                         static_cast<int64_t>(hour * 3600 + minute * 60 + second);
  // Names and punctuation must be what we would write; a leap second reads as the next one.
  if (second < 60 && http_date(result) != text) return std::nullopt;
  return result;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const auto high = hex_value(text[i + 1]);
      const auto low = hex_value(text[i + 2]);
      if (!high || !low) return std::nullopt;
      c = static_cast<char>(*high << 4 | *low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded += c;
  }
  return decoded;
}

std::string percent_encode_path(std::string_view path) {
  std::string encoded;
  encoded.reserve(path.size());
  for (const char c : path) {
    if (is_unreserved(c) || c == '/') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
  }
  return encoded;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string escape_html(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text[0];
    const bool is_control = length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    if (length == 0 || is_control)
      escaped += kReplacement;
    else if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '"')
      escaped += "&quot;";
    else if (c == '\'')
      escaped += "&#39;";
    else
      escaped += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

bool etag_list_holds(std::string_view list, std::string_view tag, EtagMatch match) {
  // Our tags hold no comma, so a comma always separates where it matters.
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = trim(list.substr(0, comma));
    if (match == EtagMatch::kWeak && item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == tag) return true;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return false;
}

RangeKind parse_ranges(std::string_view header, uint64_t size, size_t most,
                       std::vector<ByteRange>& ranges) {
  constexpr std::string_view kUnit = "bytes=";
  ranges.clear();
  if (!starts_with_ignoring_case(header, kUnit)) return RangeKind::kWhole;
  header.remove_prefix(kUnit.size());
  uint64_t total = 0;
  size_t count = 0;
  while (!header.empty()) {
    const size_t comma = header.find(',');
    const std::string_view item = trim(header.substr(0, comma));
    header.remove_prefix(comma == std::string_view::npos ? header.size() : comma + 1);
    if (item.empty()) continue;
    if (++count > most) return RangeKind::kWhole;
    ByteRange range;
    const RangeKind kind = parse_range(item, size, range);
    if (kind == RangeKind::kWhole) return kind;
    if (kind == RangeKind::kUnsatisfiable) continue;
    if (range.length > size - total) return RangeKind::kWhole;
    total += range.length;
    ranges.push_back(range);
  }
  if (count == 0) return RangeKind::kWhole;
  if (ranges.empty()) return RangeKind::kUnsatisfiable;
  return RangeKind::kPart;
}

}  // namespace splitring::http
