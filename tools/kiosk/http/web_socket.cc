#include "tools/kiosk/http/web_socket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>

#include "tools/kiosk/http/http_text.h"

namespace splitring::http {
namespace {

constexpr std::string_view kAcceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 1.3
constexpr size_t kKeyBytes = 24;  // base64 of 16 bytes
constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kUnsupportedData = 1003;
constexpr uint16_t kInvalidText = 1007;
constexpr uint16_t kTooBig = 1009;

std::string accept_key(std::string_view key) {
  const std::string text = std::string(key) + std::string(kAcceptSuffix);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 32> encoded{};
  const int bytes = EVP_EncodeBlock(encoded.data(), digest.data(), digest.size());
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<size_t>(bytes)};
}

}  // namespace

bool accepts_web_socket(const Request& request) {
  return request.method == Method::kGet && !request.is_http_10 &&
         list_holds(request.header(Known::kUpgrade), "websocket") &&
         list_holds(request.header(Known::kConnection), "upgrade") &&
         request.header("Sec-WebSocket-Version") == "13" &&
         request.header("Sec-WebSocket-Key").size() == kKeyBytes && request.is_same_origin();
}

std::string web_socket_head(const Request& request) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept_key(request.header("Sec-WebSocket-Key")) + "\r\n\r\n";
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out += static_cast<char>(0x80 | static_cast<unsigned>(opcode));
  const size_t size = payload.size();
  const auto append_big_endian = [&](unsigned bytes) {
    for (unsigned i = bytes; i-- != 0;) out += static_cast<char>(size >> (8 * i) & 0xff);
  };
  if (size < 126) {
    out += static_cast<char>(size);
  } else if (size <= 0xffff) {
    out += static_cast<char>(126);
    append_big_endian(2);
  } else {
    out += static_cast<char>(127);
    append_big_endian(8);
  }
  out += payload;
}

// Source: RFC 6455 5.2.
FrameReader::State FrameReader::next(Message& message) {
  for (;;) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(input_[i]); };
    if (input_.size() < 2) return State::kMore;
    const bool is_final = (byte(0) & 0x80) != 0;
    const unsigned opcode = byte(0) & 0x0f;
    const bool is_control = opcode >= 8;
    // Extensions have not been agreed upon; a client masks everything.
    if ((byte(0) & 0x70) != 0 || (byte(1) & 0x80) == 0) return refuse(kProtocolError);
    if ((opcode > 2 && opcode < 8) || opcode > 10) return refuse(kProtocolError);
    uint64_t size = byte(1) & 0x7f;
    if (is_control && (size > 125 || !is_final)) return refuse(kProtocolError);
    const size_t size_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
    const size_t mask_at = 2 + size_bytes;
    if (input_.size() < mask_at + 4) return State::kMore;
    if (size_bytes != 0) size = 0;
    for (size_t i = 0; i < size_bytes; i++) size = size << 8 | byte(2 + i);
    if (size > kMaxMessageBytes) return refuse(kTooBig);
    const size_t payload_at = mask_at + 4;
    if (input_.size() - payload_at < size) return State::kMore;
    std::string payload = input_.substr(payload_at, size);
    for (size_t i = 0; i < payload.size(); i++)
      payload[i] = static_cast<char>(payload[i] ^ input_[mask_at + i % 4]);
    input_.erase(0, payload_at + size);
    const State state = take(static_cast<Opcode>(opcode), is_final, std::move(payload), message);
    if (state != State::kMore) return state;
  }
}

FrameReader::State FrameReader::take(Opcode opcode, bool is_final, std::string payload,
                                     Message& message) {
  if (opcode >= Opcode::kClose) {
    message = {opcode, std::move(payload)};
    return State::kMessage;
  }
  if (opcode == Opcode::kBinary) return refuse(kUnsupportedData);
  if ((opcode == Opcode::kContinuation) != fragments_.has_value()) return refuse(kProtocolError);
  std::string text = fragments_ ? std::move(*fragments_) : std::string();
  fragments_.reset();
  if (text.size() + payload.size() > kMaxMessageBytes) return refuse(kTooBig);
  text += payload;
  if (!is_final) {
    fragments_ = std::move(text);
    return State::kMore;
  }
  if (!is_utf8(text)) return refuse(kInvalidText);
  message = {Opcode::kText, std::move(text)};
  return State::kMessage;
}

}  // namespace splitring::http
