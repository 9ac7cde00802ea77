// One request's head, as a client wrote it: checked for form, otherwise believed in nothing.
//
// The views point into the memory that was parsed and live until the handler returns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace splitring::http {

// Longest request line and headers together, and most headers. Ours; nginx's are 8 KiB a line.
inline constexpr size_t kMaxHeadBytes = size_t{16} << 10;
inline constexpr size_t kMaxHeaders = 100;

enum class Method : uint8_t { kGet, kHead, kPut, kDelete, kOther };

// Headers that the engine or a source looks at; all others are kept by name only.
enum class Known : uint8_t {
  kHost,
  kConnection,
  kContentLength,
  kTransferEncoding,
  kAcceptEncoding,
  kIfMatch,
  kIfNoneMatch,
  kIfModifiedSince,
  kIfUnmodifiedSince,
  kIfRange,
  kRange,
  kUpgrade,
  kUserAgent,
  kReferer,
  kExpect,
};
inline constexpr size_t kKnownCount = 15;

struct Header {
  std::string_view name;
  std::string_view value;  // without blanks around it
};

struct Request {
  Method method = Method::kOther;
  std::string_view method_text = {};
  std::string_view target = {};  // as sent
  // Percent-decoded; begins with '/', holds no NUL and no component "..".
  std::string_view path = {};
  std::string_view query = {};  // as sent, with its '?', or empty
  bool is_http_10 = false;
  bool keep_alive = true;
  // What it announces of a body. Only PUT may have one.
  std::optional<uint64_t> content_length = {};
  bool is_chunked = false;

  // By Known; of one that comes several times the first. Absent: empty.
  std::array<std::string_view, kKnownCount> known = {};
  std::span<const Header> headers = {};

  [[nodiscard]] std::string_view header(Known name) const {
    return known[static_cast<size_t>(name)];
  }
  // In any case; of several the first. Absent: empty.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] bool is_head() const { return method == Method::kHead; }
  // It asks for something to be other than it is.
  [[nodiscard]] bool is_change() const {
    return method == Method::kPut || method == Method::kDelete;
  }
  // No page of another site sent it (H5): browsers say whose page it was.
  [[nodiscard]] bool is_same_origin() const;
  [[nodiscard]] bool has_body() const { return is_chunked || content_length.value_or(0) != 0; }
  // It waits to hear that its body is wanted (RFC 9110 10.1.1).
  [[nodiscard]] bool expects_continue() const {
    return has_body() && !is_http_10 && !header(Known::kExpect).empty();
  }
};

}  // namespace splitring::http
