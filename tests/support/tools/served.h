// A server of the HTTP engine on a thread of its own, and a client that speaks bytes to it.
#pragma once

#include <string>
#include <string_view>
#include <thread>

#include "base/unique_fd.h"
#include "tools/kiosk/http/server.h"

namespace splitring::test {

class Served {
 public:
  // Fails the test if it does not listen.
  explicit Served(const http::SourceFactory& factory, http::ServerOptions options = {});
  ~Served() { stop(); }
  // Tells it to stop, and waits until it has.
  void stop();
  // Only tells it.
  void ask_to_stop();
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] const http::Metrics& metrics() const { return metrics_; }

 private:
  http::Metrics metrics_;
  UniqueFd stop_;
  std::unique_ptr<http::Server> server_;
  uint16_t port_ = 0;
  std::thread thread_;
};

class RawClient {
 public:
  explicit RawClient(const Served& served);
  void send(std::string_view bytes);
  // Waits for so many bytes; fewer if the server closes.
  std::string receive(size_t bytes);
  // Up to and with the first `end`, or until the server closes.
  std::string receive_until(std::string_view end);
  std::string receive_all() { return receive(SIZE_MAX); }

 private:
  bool fill();
  UniqueFd fd_;
  std::string input_;
};

}  // namespace splitring::test
