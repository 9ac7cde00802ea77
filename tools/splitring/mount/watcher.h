// Beside the threads that answer the kernel: waits for the signals that end a mount, and every few
// seconds has what was changed written out.
#pragma once

#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tools/common/stop_signals.h"
#include "tools/splitring/mount/fuse_session.h"

namespace splitring::tools {

class Watcher {
 public:
  // Both outlive it.
  static Result<std::unique_ptr<Watcher>> start(const StopSignals& stop, FuseSession& session);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  explicit Watcher(UniqueFd over) : over_(std::move(over)) {}
  void run(const StopSignals& stop, FuseSession& session) const;

  UniqueFd over_;  // an eventfd, readable once there is nothing to watch any more
  std::thread thread_;
};

}  // namespace splitring::tools
