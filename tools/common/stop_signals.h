// Signals as descriptors: SIGINT and SIGTERM for a program whose loop ends cleanly on them, SIGHUP
// for one that reads its configuration again.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring::tools {

// Call install() before any thread is started: threads inherit that the signals are blocked.
// A SIGINT that whoever started us has ignored (a script's background process, say) stays ignored.
// Also ignores SIGPIPE: a peer that hangs up is an error of one write, not the end of the program.
class StopSignals {
 public:
  static Result<StopSignals> install();

  // Readable once one of them has arrived.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Never blocks.
  [[nodiscard]] bool arrived() const;

 private:
  explicit StopSignals(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// The same for SIGHUP. One that is ignored already (nohup) stays ignored.
class ReloadSignal {
 public:
  static Result<ReloadSignal> install();

  // Readable once it has arrived, until clear().
  [[nodiscard]] int fd() const { return fd_.get(); }
  void clear() const;

 private:
  explicit ReloadSignal(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace splitring::tools
