#include "xenbus/store_session.h"

#include "xenbus/store_requests.h"

namespace splitring {

StoreSession::StoreSession(StoreService& service, DomId domain)
    : service_(service), domain_(domain), events_(service.limits().pending_event_bytes) {
  service_.attach(this);
}

void StoreSession::receive(std::string_view bytes) {
  if (closed_) return;
  input_.feed(bytes);
  run();
}

bool StoreSession::wants_input() const {
  return !closed_ && output_.size() - sent_ < service_.limits().output_bytes;
}

std::string_view StoreSession::output() {
  put_events();
  return std::string_view(output_).substr(sent_);
}

void StoreSession::sent(size_t bytes) {
  sent_ += bytes;
  if (sent_ == output_.size()) {
    output_.clear();
    sent_ = 0;
  } else if (sent_ > service_.limits().output_bytes) {
    output_.erase(0, sent_);
    sent_ = 0;
  }
  run();
}

void StoreSession::close() {
  if (closed_) return;
  StoreRequests(service_, *this).reset();
  service_.detach(this);
  closed_ = true;
}

void StoreSession::run() {
  while (wants_input()) {
    const auto frame = input_.next();
    if (!frame) return close();
    if (!*frame) return;
    // What happened before the request is told before its answer.
    put_events();
    answer(**frame);
  }
}

void StoreSession::answer(const StoreFrame& request) {
  auto reply = StoreRequests(service_, *this).execute(request);
  if (reply && reply->size() > kStorePayloadMax) reply = store_fail(StoreErrc::kTooBig);
  if (reply) {
    append_frame(output_, request.type, request.request_id, request.transaction_id, *reply);
  } else {
    std::string name(wire_name(reply.error()));
    name += '\0';
    append_frame(output_, StoreMessage::kError, request.request_id, request.transaction_id, name);
  }
}

void StoreSession::put_events() {
  while (wants_input()) {
    const auto event = events_.take();
    if (!event) return;
    std::string payload = event->path;
    payload += '\0';
    payload += event->token;
    payload += '\0';
    append_frame(output_, StoreMessage::kWatchEvent, 0, 0, payload);
  }
}

}  // namespace splitring
