// An emulated host on a thread of the test, in a directory of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "grant/emulated_control.h"
#include "xenbus/emulated_machine.h"
#include "xenbus/host.h"

namespace splitring::testing {

class EmulatedMachineThread {
 public:
  // Domain 0 and as many guests: 1, 2, ... Aborts if that fails.
  explicit EmulatedMachineThread(unsigned guests, const EmulatedMachineLimits& limits = {});
  ~EmulatedMachineThread();
  EmulatedMachineThread(const EmulatedMachineThread&) = delete;
  EmulatedMachineThread& operator=(const EmulatedMachineThread&) = delete;

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  // Aborts if that fails.
  [[nodiscard]] std::unique_ptr<Host> host(unsigned domain) const;
  [[nodiscard]] EmulatedControl control() const;

  // Ends the host, as if it were killed: its clients see their connections close. Does nothing the
  // second time.
  void stop();

 private:
  void run();

  std::filesystem::path directory_;
  std::unique_ptr<EmulatedMachine> machine_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace splitring::testing
