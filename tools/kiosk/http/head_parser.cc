#include "tools/kiosk/http/head_parser.h"

#include <algorithm>

#include "base/parse.h"
#include "tools/kiosk/http/http_text.h"

namespace splitring::http {
namespace {

constexpr unsigned kGood = 0;
constexpr size_t kMaxMethodBytes = 32;

// What may stand in a token, a target, a header's value. Sources: RFC 9110 5.6.2 and 5.5; a target
// may hold anything visible, and bytes that are no ASCII, which no rule of RFC 9112 can confuse.
constexpr uint8_t kTokenByte = 1;
constexpr uint8_t kTargetByte = 2;
constexpr uint8_t kValueByte = 4;

constexpr std::array<uint8_t, 256> make_byte_classes() {
  std::array<uint8_t, 256> classes{};
  for (size_t c = 0; c < 256; c++) {
    if (c > 0x20 && c != 0x7f) classes[c] = kTargetByte | kValueByte;
    if (c == ' ' || c == '\t') classes[c] = kValueByte;
    const bool is_alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (is_alphanumeric) classes[c] |= kTokenByte;
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    classes[static_cast<unsigned char>(c)] |= kTokenByte;
  return classes;
}
constexpr std::array<uint8_t, 256> kByteClasses = make_byte_classes();

bool all_are(uint8_t byte_class, std::string_view text) {
  uint8_t common = byte_class;
  for (const char c : text) common &= kByteClasses[static_cast<unsigned char>(c)];
  return common != 0;
}

// Names and ports, IPv6 in brackets. Stricter would be of no use: a Host is only ever compared.
bool is_host(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return all_are(kTokenByte, {&c, 1}) || c == ':' || c == '[' || c == ']';
  });
}

struct KnownName {
  std::string_view name;
  Known known;
};
constexpr std::array kKnownNames = {
    KnownName{"host", Known::kHost},
    KnownName{"connection", Known::kConnection},
    KnownName{"content-length", Known::kContentLength},
    KnownName{"transfer-encoding", Known::kTransferEncoding},
    KnownName{"accept-encoding", Known::kAcceptEncoding},
    KnownName{"if-match", Known::kIfMatch},
    KnownName{"if-none-match", Known::kIfNoneMatch},
    KnownName{"if-modified-since", Known::kIfModifiedSince},
    KnownName{"if-unmodified-since", Known::kIfUnmodifiedSince},
    KnownName{"if-range", Known::kIfRange},
    KnownName{"range", Known::kRange},
    KnownName{"upgrade", Known::kUpgrade},
    KnownName{"user-agent", Known::kUserAgent},
    KnownName{"referer", Known::kReferer},
    KnownName{"expect", Known::kExpect},
};
static_assert(kKnownNames.size() == kKnownCount);

std::optional<Known> known_name(std::string_view name) {
  for (const KnownName& entry : kKnownNames)
    if (entry.name.size() == name.size() && equal_ignoring_case(entry.name, name))
      return entry.known;
  return std::nullopt;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const Header& entry : headers)
    if (equal_ignoring_case(entry.name, name)) return entry.value;
  return {};
}

bool Request::is_same_origin() const {
  const std::string_view origin = header("Origin");
  if (origin.empty()) return true;  // no browser
  const size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  return equal_ignoring_case(origin.substr(scheme + 3), header(Known::kHost));
}

HeadParser::Outcome HeadParser::parse(std::string_view input, size_t scanned) {
  request_ = {};
  // RFC 9112 2.2: an empty line before the request is to be ignored.
  const size_t start = input.starts_with("\r\n") ? 2 : 0;
  const std::string_view text = input.substr(0, std::min(input.size(), start + kMaxHeadBytes));
  size_t line = std::max(start, scanned);
  for (size_t end; (end = text.find('\n', line)) != std::string_view::npos; line = end + 1) {
    if (end == 0 || text[end - 1] != '\r') return {.state = State::kRefused, .status = 400};
    // The empty line: "\r\n" right behind a line's end.
    const bool is_empty = end >= start + 2 && text[end - 2] == '\n';
    if (end == start + 1) return {.state = State::kRefused, .status = 400};
    if (!is_empty) continue;
    const unsigned status = parse_head(text.substr(start, end + 1 - start - 2));
    if (status != kGood) return {.state = State::kRefused, .status = status};
    return {.state = State::kHead, .head_bytes = end + 1};
  }
  if (text.size() < start + kMaxHeadBytes) return {.state = State::kMore, .scanned = line};
  const bool in_first_line = text.find('\n', start) == std::string_view::npos;
  return {.state = State::kRefused, .status = in_first_line ? 414U : 431U};
}

// `head`: every line with its CRLF.
unsigned HeadParser::parse_head(std::string_view head) {
  header_count_ = 0;
  seen_host_ = seen_length_ = seen_encoding_ = asks_keep_alive_ = asks_close_ = false;
  size_t end = head.find('\n');
  if (const unsigned status = parse_request_line(head.substr(0, end - 1)); status != kGood)
    return status;
  for (size_t line = end + 1; line < head.size(); line = end + 1) {
    end = head.find('\n', line);
    if (const unsigned status = parse_header(head.substr(line, end - 1 - line)); status != kGood)
      return status;
  }
  request_.headers = std::span(headers_).first(header_count_);
  request_.keep_alive = !asks_close_ && (!request_.is_http_10 || asks_keep_alive_);
  if (const unsigned status = check_head(); status != kGood) return status;
  return parse_target();
}

unsigned HeadParser::parse_request_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return 400;
  request_.method_text = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (first > kMaxMethodBytes || first == 0 || !all_are(kTokenByte, request_.method_text))
    return 400;
  if (target.empty() || !all_are(kTargetByte, target)) return 400;
  request_.target = target;
  if (request_.method_text == "GET") request_.method = Method::kGet;
  if (request_.method_text == "HEAD") request_.method = Method::kHead;
  if (request_.method_text == "PUT") request_.method = Method::kPut;
  if (request_.method_text == "DELETE") request_.method = Method::kDelete;
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") &&
                          version[6] == '.' && version[5] >= '0' && version[5] <= '9' &&
                          version[7] >= '0' && version[7] <= '9';
  if (!is_version) return 400;
  if (version[5] != '1') return 505;
  request_.is_http_10 = version[7] == '0';
  return kGood;
}

unsigned HeadParser::parse_header(std::string_view line) {
  const size_t colon = line.find(':');
  // No colon, no name, a folded line, a blank before the colon: the last two are no tokens.
  if (colon == std::string_view::npos || colon == 0) return 400;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!all_are(kTokenByte, name) || !all_are(kValueByte, value)) return 400;
  if (header_count_ == kMaxHeaders) return 431;
  headers_[header_count_++] = {name, value};
  const auto known = known_name(name);
  return known ? note(*known, value) : kGood;
}

unsigned HeadParser::note(Known known, std::string_view value) {
  std::string_view& kept = request_.known[static_cast<size_t>(known)];
  if (kept.empty()) kept = value;
  switch (known) {
    case Known::kHost:
      if (seen_host_ || !is_host(value)) return 400;
      seen_host_ = true;
      return kGood;
    case Known::kContentLength: {
      const auto length = parse_decimal(value);
      if (seen_length_ || !length) return 400;
      seen_length_ = true;
      request_.content_length = *length;
      return kGood;
    }
    case Known::kTransferEncoding:
      if (seen_encoding_) return 400;
      seen_encoding_ = true;
      request_.is_chunked = true;
      return equal_ignoring_case(value, "chunked") ? kGood : 501;
    case Known::kConnection:
      asks_close_ = asks_close_ || list_holds(value, "close");
      asks_keep_alive_ = asks_keep_alive_ || list_holds(value, "keep-alive");
      return kGood;
    // RFC 9110 10.1.1 knows no other one.
    case Known::kExpect: return equal_ignoring_case(value, "100-continue") ? kGood : 417;
    default: return kGood;
  }
}

unsigned HeadParser::check_head() const {
  if (seen_length_ && seen_encoding_) return 400;
  if (seen_encoding_ && request_.is_http_10) return 400;
  if (!seen_host_ && !request_.is_http_10) return 400;
  if (request_.method == Method::kOther) return 405;
  return request_.has_body() && request_.method != Method::kPut ? 413 : kGood;
}

// H1: what a path may be is decided here, once, for every source.
unsigned HeadParser::parse_target() {
  std::string_view target = request_.target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!starts_with_ignoring_case(target, scheme)) continue;
    const size_t slash = target.find('/', scheme.size());
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
    break;
  }
  if (!target.starts_with('/')) return 400;
  const size_t end = std::min(target.find_first_of("?#"), target.size());
  request_.query = target.substr(end);
  request_.path = target.substr(0, end);
  if (request_.path.find('%') != std::string_view::npos) {
    auto decoded = percent_decode(request_.path);
    if (!decoded) return 400;
    decoded_path_ = std::move(*decoded);
    request_.path = decoded_path_;
  }
  return has_dot_dot(request_.path) ? 404 : kGood;
}

}  // namespace splitring::http
