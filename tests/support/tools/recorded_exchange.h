// An exchange without a client: keeps what a source answers.
#pragma once

#include <string>
#include <string_view>

#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/http/response_head.h"
#include "tools/kiosk/http/source.h"

namespace splitring::test {

class RecordedExchange final : public http::Exchange {
 public:
  RecordedExchange(http::Loop& loop, bool is_head) : loop_(loop), is_head_(is_head) {}

  unsigned status = 0;  // 0: not answered yet
  std::string head;
  std::string body;
  bool aborted = false;
  bool from_cache = false;
  [[nodiscard]] bool done() const { return status != 0 && stream_ == nullptr; }

  [[nodiscard]] std::string header(std::string_view name) const {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const size_t at = head.find(key);
    if (at == std::string::npos) return "";
    const size_t from = at + key.size();
    return head.substr(from, head.find("\r\n", from) - from);
  }

  [[nodiscard]] http::Loop& loop() override { return loop_; }
  void send(http::Response response) override {
    status = response.status;
    head = http::make_head(response, response.body.size()).text;
    if (!is_head_) body = response.body;
  }
  void send(http::PreparedRef response) override {
    from_cache = true;
    status = response->status();
    head = response->head();
    if (!is_head_) body = response->body();
  }
  void send(http::Response response, uint64_t length,
            std::unique_ptr<http::BodyStream> stream) override {
    status = response.status;
    head = http::make_head(response, length).text;
    left_ = is_head_ ? 0 : length;
    stream_ = std::move(stream);
    pull();
  }
  void upgrade(const http::Request&, std::unique_ptr<http::WebSocketHandler>) override {}
  // The body that the request has, whole.
  std::string request_body;
  void take_body(uint64_t most, BodyThen then) override {
    if (request_body.size() > most) return send(http::status_page(413));
    http::RequestBody received(std::make_shared<http::BodyBudget>());
    if (received.append(request_body)) then(std::move(received));
  }
  void give(std::span<const std::byte> bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    left_ -= bytes.size();
    if (!pulling_) pull();
    given_ = true;
  }
  void abort() override {
    aborted = true;
    left_ = 0;
    if (!pulling_) stream_.reset();
    given_ = true;
  }

 private:
  void pull() {
    pulling_ = true;
    given_ = true;
    while (given_ && left_ != 0) {
      given_ = false;
      stream_->next(*this);
    }
    pulling_ = false;
    if (left_ == 0) stream_.reset();
  }

  http::Loop& loop_;
  const bool is_head_;
  std::unique_ptr<http::BodyStream> stream_;
  uint64_t left_ = 0;
  bool pulling_ = false;
  bool given_ = false;
};

}  // namespace splitring::test
