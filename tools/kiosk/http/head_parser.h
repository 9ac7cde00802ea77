// From a client's bytes to a Request: where a head ends, and whether it is one that can be
// believed.
//
// Strict where servers and proxies have disagreed (H3): lines end in CRLF and nothing else, no
// folded lines, no blank before a colon, one Content-Length, no Content-Length beside
// Transfer-Encoding, one Host. What is refused ends the connection, so that nothing can hide
// behind it. Source: RFC 9112 (2.2, 3, 5, 6.1, 6.3) and RFC 9110 5.
//
// No I/O, and no allocation but for a path that has escapes. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tools/kiosk/http/request.h"

namespace splitring::http {

class HeadParser {
 public:
  enum class State : uint8_t { kMore, kHead, kRefused };
  struct Outcome {
    State state = State::kMore;
    size_t head_bytes = 0;  // kHead: what it took of the input
    size_t scanned = 0;     // kMore: give it back with more input
    unsigned status = 0;    // kRefused: 400, 404, 405, 413, 414, 417, 431, 501 or 505
  };

  // `input`: everything since the last head; its first `scanned` bytes hold no end of a head.
  Outcome parse(std::string_view input, size_t scanned = 0);
  // After kHead; also after kRefused as far as it was understood. The views point into the input.
  [[nodiscard]] const Request& request() const { return request_; }

 private:
  [[nodiscard]] unsigned parse_head(std::string_view head);
  [[nodiscard]] unsigned parse_request_line(std::string_view line);
  [[nodiscard]] unsigned parse_target();
  [[nodiscard]] unsigned parse_header(std::string_view line);
  [[nodiscard]] unsigned note(Known known, std::string_view value);
  [[nodiscard]] unsigned check_head() const;

  Request request_;
  std::array<Header, kMaxHeaders> headers_{};
  size_t header_count_ = 0;
  std::string decoded_path_;
  bool seen_host_ = false;
  bool seen_length_ = false;
  bool seen_encoding_ = false;
  bool asks_keep_alive_ = false;
  bool asks_close_ = false;
};

}  // namespace splitring::http
