// A WebSocket, the server's end. Source: RFC 6455.
//
// Messages go out as text; of what comes in, text of at most kMaxMessageBytes reaches the handler,
// anything else closes the socket. Pings are answered here. One thread, the connection's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/kiosk/http/request.h"

namespace splitring::http {

class Loop;

// Longest message that a client may send, and most bytes that wait for a client which does not
// read: whoever is behind that far is closed.
inline constexpr size_t kMaxMessageBytes = size_t{16} << 10;
inline constexpr size_t kMaxWaitingBytes = size_t{1} << 20;

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  virtual void send_text(std::string_view text) = 0;
  // Bytes that the client has not taken yet: skip what it would find out of date.
  [[nodiscard]] virtual size_t waiting_bytes() const = 0;
  virtual void close() = 0;
};

// Yours; it goes after on_close().
class WebSocketHandler {
 public:
  virtual ~WebSocketHandler() = default;
  // `socket` lives until on_close() has returned.
  virtual void on_open(WebSocket& socket) = 0;
  virtual void on_text(std::string_view /*text*/) {}
  virtual void on_close() {}
};

// Whether a request asks for a WebSocket in the way RFC 6455 4.2.1 wants, from a page of our own: a
// browser's Origin must be the Host that it asks (H5).
[[nodiscard]] bool accepts_web_socket(const Request& request);

// The head that says yes, up to and with the empty line. Precondition: accepts_web_socket().
[[nodiscard]] std::string web_socket_head(const Request& request);

// ---- frames, for the engine
// ----------------------------------------------------------------------
enum class Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

// Appends one frame, unmasked as a server's are.
void append_frame(std::string& out, Opcode opcode, std::string_view payload);

// Takes frames apart and joins fragments. Pure: no I/O.
class FrameReader {
 public:
  struct Message {
    Opcode opcode = Opcode::kText;  // kText, kPing, kPong or kClose
    std::string text;
  };
  enum class State : uint8_t { kMore, kMessage, kBroken };

  void append(std::string_view bytes) { input_ += bytes; }
  // kMore: nothing complete is there. kBroken: close with close_code().
  State next(Message& message);
  [[nodiscard]] uint16_t close_code() const { return close_code_; }

 private:
  State refuse(uint16_t code) {
    close_code_ = code;
    return State::kBroken;
  }
  State take(Opcode opcode, bool is_final, std::string payload, Message& message);

  std::string input_;
  std::optional<std::string> fragments_;
  uint16_t close_code_ = 1002;
};

}  // namespace splitring::http
