// An emulated hypervisor in a process of its own, in a fresh directory, and helpers to run the
// body of a test's other domains in processes too.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "grant/emulated_control.h"
#include "grant/emulated_hypervisor.h"
#include "grant/emulated_server.h"
#include "grant/types.h"

namespace splitring::testing {

// mkdtemp; removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A forked process. It runs `body` and exits with 0 if that returns true.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<bool()>& body);
  ~ChildProcess();  // kills it if it still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits; true if it exited with 0.
  bool join();
  // SIGKILL, and waits until it is gone.
  void kill();
  [[nodiscard]] bool is_running() const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// One byte from one process to another: "I have come this far".
class Signal {
 public:
  Signal();
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  void raise() const;
  void wait() const;

 private:
  int ends_[2];
};

class HypervisorProcess {
 public:
  // Domain 0 and as many guests: 1, 2, ...
  explicit HypervisorProcess(unsigned guests, const HypervisorLimits& limits = {});

  [[nodiscard]] std::filesystem::path socket(unsigned domain) const;
  EmulatedControl& control() { return *control_; }
  DomainCounts counts(unsigned domain);
  // The same, once no more than `handles` connections of it are left: the server sees the end of a
  // killed client only when it polls next, which a few questions make sure of.
  DomainCounts counts_after_close(unsigned domain, uint32_t handles);
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<EmulatedControl> control_;
};

}  // namespace splitring::testing
