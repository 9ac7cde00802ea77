// A connection while a request's body comes in.
#include <spdlog/spdlog.h>

#include "tools/kiosk/http/connection.h"

namespace splitring::http {

void Connection::take_body(uint64_t most, BodyThen then) {
  const Request& request = context_.parser.request();
  // Known before a byte of it is read.
  if (request.content_length.value_or(0) > most) return send(status_page(413));
  const BodyDecoder decoder = request.is_chunked
                                  ? BodyDecoder::of_chunks()
                                  : BodyDecoder::of_length(request.content_length.value_or(0));
  incoming_ = std::make_unique<Incoming>(
      Incoming{decoder, most, std::move(then), RequestBody(context_.bodies), request.keep_alive});
  // A client that did not wait for it wants no answer to that.
  if (request.expects_continue() && unread_.empty()) first_ = "HTTP/1.1 100 Continue\r\n\r\n";
  is_awaited_ = false;
  state_ = State::kBody;
  progress_ = 0;
  arm();
}

bool Connection::read_body() {
  if (!first_.empty()) return write_continue();
  const BodyDecoder::Outcome outcome = incoming_->decoder.next(unread_);
  unread_.remove_prefix(outcome.taken);
  switch (outcome.state) {
    case BodyDecoder::State::kMore: return receive();
    case BodyDecoder::State::kData: return keep_of_body(outcome.data);
    case BodyDecoder::State::kEnd: return body_is_whole();
    case BodyDecoder::State::kBroken: return refuse_body(400);
  }
  return false;
}

bool Connection::write_continue() {
  if (!writable_) return false;
  const IoOutcome outcome = transport_.write(first_, {});
  switch (outcome.state) {
    case IoState::kWouldBlock: writable_ = false; return false;
    case IoState::kClosed: die(); return false;
    case IoState::kDone: first_.remove_prefix(outcome.bytes); return true;
  }
  return false;
}

bool Connection::keep_of_body(std::string_view data) {
  if (data.size() > incoming_->most - incoming_->body.size()) return refuse_body(413);
  if (const auto kept = incoming_->body.append(data); !kept) {
    spdlog::warn("a request's body was refused: {}", kept.error().what);
    return refuse_body(503);
  }
  progress_ += data.size();
  if (progress_ >= kProgressBytes) {
    progress_ = 0;
    arm();
  }
  return true;
}

bool Connection::refuse_body(unsigned status) {
  incoming_.reset();
  unread_ = {};
  keep_alive_ = false;
  state_ = State::kWaiting;
  is_awaited_ = true;
  send(status_page(status));
  return true;
}

bool Connection::body_is_whole() {
  const std::unique_ptr<Incoming> incoming = std::move(incoming_);
  keep_alive_ = incoming->keep_alive && !context_.stopping;
  state_ = State::kWaiting;
  is_awaited_ = true;
  disarm();
  incoming->then(std::move(incoming->body));
  return true;
}

}  // namespace splitring::http
