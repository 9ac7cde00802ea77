// A connection after its upgrade: frames in, frames out.
#include <array>

#include "tools/kiosk/http/connection.h"

namespace splitring::http {

void Connection::upgrade(const Request& request, std::unique_ptr<WebSocketHandler> handler) {
  upgraded_ = std::make_unique<Upgraded>();
  upgraded_->handler = std::move(handler);
  text_ = web_socket_head(request);
  head_bytes_ = text_.size();
  first_ = text_;
  status_ = 101;
  sent_ = 0;
  start_writing();
}

bool Connection::run_socket() {
  const bool has_read = read_socket();
  if (state_ != State::kSocket) return true;
  const bool has_written = flush_socket();
  return has_read || has_written || state_ != State::kSocket;
}

bool Connection::read_socket() {
  if (unread_.empty() && !receive()) return false;
  upgraded_->awaits_pong = false;
  arm();
  if (!upgraded_->is_closing) upgraded_->frames.append(unread_);
  unread_ = {};
  take_messages();
  return true;
}

void Connection::take_messages() {
  FrameReader::Message message;
  while (!upgraded_->is_closing) {
    switch (upgraded_->frames.next(message)) {
      case FrameReader::State::kMore: return;
      case FrameReader::State::kBroken: return close_socket(upgraded_->frames.close_code());
      case FrameReader::State::kMessage: break;
    }
    if (message.opcode == Opcode::kText) upgraded_->handler->on_text(message.text);
    if (message.opcode == Opcode::kPing) send_frame(Opcode::kPong, message.text);
    if (message.opcode == Opcode::kClose) close_socket(1000);
  }
}

bool Connection::flush_socket() {
  Upgraded& socket = *upgraded_;
  if (socket.sent == socket.out.size()) {
    if (!socket.is_closing) return false;
    socket.handler->on_close();
    socket.is_open = false;
    transport_.shut_down_writing();
    state_ = State::kLinger;
    return true;
  }
  if (!writable_) return false;
  const IoOutcome outcome = transport_.write(std::span(socket.out).subspan(socket.sent), {});
  if (outcome.state == IoState::kClosed) {
    die();
    return false;
  }
  if (outcome.state == IoState::kWouldBlock) {
    writable_ = false;
    return false;
  }
  socket.sent += outcome.bytes;
  context_.metrics.sent_bytes.add(outcome.bytes);
  if (socket.sent == socket.out.size()) {
    socket.out = {};
    socket.sent = 0;
  }
  return true;
}

void Connection::send_frame(Opcode opcode, std::string_view payload) {
  if (state_ != State::kSocket || upgraded_->is_closing) return;
  // Who answers pings slower than it sends them, or reads nothing, is not waited for.
  if (waiting_bytes() + payload.size() > kMaxWaitingBytes)
    die();
  else
    append_frame(upgraded_->out, opcode, payload);
  run();
}

void Connection::send_text(std::string_view text) { send_frame(Opcode::kText, text); }

size_t Connection::waiting_bytes() const {
  return upgraded_ == nullptr ? 0 : upgraded_->out.size() - upgraded_->sent;
}

void Connection::close_socket(uint16_t code) {
  if (state_ != State::kSocket || upgraded_->is_closing) return;
  const std::array<char, 2> payload = {static_cast<char>(code >> 8), static_cast<char>(code)};
  append_frame(upgraded_->out, Opcode::kClose, {payload.data(), payload.size()});
  upgraded_->is_closing = true;
  due_ = context_.loop.now() + context_.timeout;
  run();
}

}  // namespace splitring::http
