// What is sent of a file: all, a part, several parts, or nothing because the client has it.
//
// Pure decisions over what a request asks and what a file is; nothing is read here. Source: RFC
// 9110 13.2.2 (the order of preconditions), 14 (ranges), 12.5.3 (encodings).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/kiosk/http/http_text.h"
#include "tools/kiosk/http/request.h"
#include "tools/kiosk/http/response.h"

namespace splitring::kiosk {

// Codings that we know, in the order of our liking where the client has none.
enum class Coding : uint8_t { kIdentity, kBrotli, kZstd, kGzip };
inline constexpr size_t kCodingCount = 4;

// What Accept-Encoding allows, best first; identity closes the list. At most kCodingCount.
struct CodingChoice {
  std::array<Coding, kCodingCount> order{};
  size_t count = 0;
  // Different for different lists: a part of a cache's key.
  [[nodiscard]] uint8_t key() const;
};
[[nodiscard]] CodingChoice accepted_codings(std::string_view accept_encoding);
// "gzip"; empty for identity.
[[nodiscard]] std::string_view coding_name(Coding coding);
// ".gz"; empty for identity.
[[nodiscard]] std::string_view coding_suffix(Coding coding);

struct Representation {
  std::string_view type;  // Content-Type
  uint64_t size = 0;
  int64_t mtime_s = 0;
  std::string etag;  // quoted, strong
  Coding coding = Coding::kIdentity;
  bool varies = false;  // other codings of it exist, or could be made
};

// Most ranges of one request that are served; more get the whole (H4).
inline constexpr size_t kMaxRanges = 16;

struct Part {
  std::string text;  // before the bytes: a multipart body's delimiter
  http::ByteRange bytes;
};

struct Plan {
  http::Response response;  // without body, unless it says no
  bool is_whole = false;    // all of it, status 200
  std::vector<Part> parts;  // of a body; empty: `response` is all
  uint64_t length = 0;      // of the parts, texts included
};

[[nodiscard]] Plan plan(const http::Request& request, const Representation& file);

// The head of all of it: what a cache keeps.
[[nodiscard]] http::Response whole_response(const Representation& file);

}  // namespace splitring::kiosk
