// The kiosk's server: one listening socket, and threads that each have an Asio loop, a lane of the
// disk and connections of their own; they share the site and nothing that changes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "tools/kiosk/kiosk_metrics.h"
#include "tools/kiosk/site.h"

namespace splitring::kiosk {

struct ServerOptions {
  std::string listen = "127.0.0.1:8080";  // numeric address, port; port 0: any that is free
  unsigned threads = 1;                   // fewer if the disk has fewer lanes
  unsigned connections = 4096;            // open at a time; more are turned away with 503
  std::chrono::seconds timeout{20};       // for a client to send a head, and to take each chunk
};

class HttpServer {
 public:
  // Listens from here on. `disk`, `site` and `metrics` outlive the server. Errors: kInvalid (the
  // address), kBusy or others of bind(); the disk's, if it opens no lane.
  static Result<std::unique_ptr<HttpServer>> open(BlockDevice& disk, const Site& site,
                                                  KioskMetrics& metrics,
                                                  const ServerOptions& options);
  ~HttpServer();

  // "http://127.0.0.1:8080/"
  [[nodiscard]] const std::string& url() const { return url_; }
  // Serves until `stop_fd` is readable; then ends idle connections, gives answers that are on
  // their way a few seconds, and returns.
  void run(int stop_fd);

 private:
  class Worker;
  HttpServer();

  std::string url_;
  std::atomic<unsigned> open_connections_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace splitring::kiosk
