// The daemon's window: HTTP on a Unix socket, and the metrics on TCP if asked for.
//
//   GET /metrics   Prometheus text        (both)
//   GET /devices   JSON, for `splitring`  (the Unix socket only)
//
// Nothing can be changed through it. The Unix socket has mode 0660 and answers root and our own
// user only (O1). It has a thread of its own; a client that is slow, silent or many meets a
// time-out or a cap, never the rings (H2).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/report.h"
#include "base/result.h"

namespace splitring::tools {

struct ControlOptions {
  std::filesystem::path socket;
  std::string metrics_address;  // "127.0.0.1:9100", "[::1]:9100"; empty: no TCP
};

class ControlServer {
 public:
  // Called on the server's thread.
  using Report = std::function<std::vector<backend::DeviceReport>()>;

  // Takes the place of a socket that nobody answers on. Errors: kBusy: somebody does; kInvalid.
  // Nobody is answered before serve().
  static Result<std::unique_ptr<ControlServer>> listen(const ControlOptions& options);
  // Stops the thread and removes the socket.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Starts the thread. Called once; `report` must stay callable until stop() or destruction.
  void serve(Report report);
  // Ends the thread: nobody is answered any more.
  void stop();

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace splitring::tools
