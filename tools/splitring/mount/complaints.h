// What a mount has to say while nobody is looking: on standard error, or in the system's log once
// the program is in the background. At most a few lines a minute, with a count of those left out.
//
// Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/result.h"
#include "tools/splitring/mount/mounted_tree.h"

namespace splitring::tools {

class Complaints {
 public:
  void say(const std::string& what);
  // From now on in the system's log.
  void to_system_log();

  // As a system call returns it. What is the disk's fault, or the file system's, is said.
  Errno number_of(const Error& error);

 private:
  using Clock = std::chrono::steady_clock;
  void print(const std::string& line) const;  // mutex_ is held

  std::mutex mutex_;
  bool in_system_log_ = false;
  Clock::time_point minute_began_{};
  uint32_t said_ = 0;  // in this minute
  uint64_t left_out_ = 0;
};

}  // namespace splitring::tools
