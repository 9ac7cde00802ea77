// What a client sends to the kiosk: a head, whole and cut anywhere; then all that is parsed of it
// later; and the same bytes as a
// chunked body and as a WebSocket's frames.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tools/kiosk/content/representation.h"
#include "tools/kiosk/http/body_decoder.h"
#include "tools/kiosk/http/head_parser.h"
#include "tools/kiosk/http/web_socket.h"

namespace {

using namespace splitring;
using http::HeadParser;
using State = HeadParser::State;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_request(const http::Request& request) {
  check(request.path.starts_with('/'));
  check(request.path.find('\0') == std::string_view::npos);
  check(!http::has_dot_dot(request.path));
  check(request.method != http::Method::kOther);
  check(!request.has_body() || request.method == http::Method::kPut);
  for (const http::Header& header : request.headers)
    check(header.value.find_first_of("\r\n") == std::string_view::npos);
  kiosk::Representation file{.type = "text/plain", .size = 1000, .etag = "\"t\""};
  const kiosk::Plan plan = kiosk::plan(request, file);
  uint64_t length = 0;
  for (const kiosk::Part& part : plan.parts) {
    check(part.bytes.first <= file.size && part.bytes.length <= file.size - part.bytes.first);
    length += part.text.size() + part.bytes.length;
  }
  check(length == plan.length && plan.parts.size() <= kiosk::kMaxRanges + 1);
  const auto choice = kiosk::accepted_codings(request.header(http::Known::kAcceptEncoding));
  check(choice.count >= 1 && choice.count <= kiosk::kCodingCount);
  if (http::accepts_web_socket(request)) check(!http::web_socket_head(request).empty());
}

// However the bytes arrive, the answer is the same.
void check_cut(std::string_view input, size_t cut, const HeadParser::Outcome& whole) {
  HeadParser parser;
  const auto first = parser.parse(input.substr(0, cut));
  if (first.state == State::kRefused) return;  // it may have been enough
  if (first.state == State::kHead) return check(first.head_bytes == whole.head_bytes);
  const auto then = parser.parse(input, first.scanned);
  check(then.state == whole.state && then.head_bytes == whole.head_bytes);
  check(then.status == whole.status);
}

// The body that comes out of pieces of so many bytes, and how it ended; what follows is left alone.
struct Decoded {
  std::string body;
  http::BodyDecoder::State end = http::BodyDecoder::State::kMore;
  size_t taken = 0;
  bool operator==(const Decoded&) const = default;
};
Decoded decode(std::string_view input, size_t piece) {
  http::BodyDecoder decoder = http::BodyDecoder::of_chunks();
  Decoded decoded;
  for (size_t seen = std::min(piece, input.size());;) {
    const auto outcome = decoder.next(input.substr(decoded.taken, seen - decoded.taken));
    decoded.taken += outcome.taken;
    check(decoded.taken <= seen);
    decoded.body += outcome.data;
    decoded.end = outcome.state;
    if (outcome.state == http::BodyDecoder::State::kData) continue;
    if (outcome.state != http::BodyDecoder::State::kMore || seen == input.size()) return decoded;
    seen = std::min(seen + piece, input.size());
  }
}

void check_frames(std::string_view input) {
  http::FrameReader reader;
  http::FrameReader::Message message;
  for (size_t i = 0; i < input.size(); i += 7) {
    reader.append(input.substr(i, 7));
    for (;;) {
      const auto state = reader.next(message);
      if (state == http::FrameReader::State::kBroken) return;
      if (state == http::FrameReader::State::kMore) break;
      check(message.text.size() <= http::kMaxMessageBytes);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  HeadParser parser;
  const auto whole = parser.parse(input);
  if (whole.state == State::kHead) {
    check(whole.head_bytes <= input.size());
    check_request(parser.request());
  }
  if (whole.state == State::kRefused) check(whole.status >= 400);
  check_cut(input, data[0] * input.size() / 256, whole);
  const Decoded body = decode(input, input.size() + 1);
  const Decoded in_pieces = decode(input, 1 + data[0] % 16);
  // A line that is too long is known to be so at different bytes of it.
  check(body.body == in_pieces.body && body.end == in_pieces.end);
  check_frames(input);
  return 0;
}
