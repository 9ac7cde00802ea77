// The engine's front door: one listening socket, threads that share nothing but it, each with a
// loop, sources and connections of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tools/kiosk/http/access_log.h"
#include "tools/kiosk/http/metrics.h"
#include "tools/kiosk/http/source.h"
#include "tools/kiosk/http/transport.h"

namespace splitring::http {

struct ServerOptions {
  std::string listen = "127.0.0.1:8080";  // numeric; "[::1]:8080"; port 0: a free one
  unsigned threads = 1;
  unsigned connections = 16'384;          // of all threads; more are told 503
  std::chrono::seconds timeout{20};       // for a head, between requests, for a part of an answer
  const TlsContext* tls = nullptr;        // null: plain HTTP. Outlives the server
  const AccessLog* access_log = nullptr;  // null: none. Outlives the server
};

class Server {
 public:
  // Listens, and makes each thread's sources by calling `factory` here, on the caller's thread,
  // once for each. What it refers to, and `metrics`, outlive the server. Errors: an address that is
  // none, or taken.
  static Result<std::unique_ptr<Server>> open(const ServerOptions& options,
                                              const SourceFactory& factory, Metrics& metrics);
  ~Server();

  // "http://127.0.0.1:8080/", with the port that it is.
  [[nodiscard]] const std::string& url() const { return url_; }
  // Serves until `stop_fd` is readable; then takes nobody new, and ends when all answers under way
  // are sent or some seconds have passed. Meanwhile `event` is called here, on the caller's thread,
  // whenever `event_fd` is readable, which it has to end.
  void run(int stop_fd, int event_fd = -1, const std::function<void()>& event = {});

 private:
  class Worker;
  Server();

  std::string url_;
  UniqueFd listening_;
  std::atomic<unsigned> open_connections_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace splitring::http
