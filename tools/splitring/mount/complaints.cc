#include "tools/splitring/mount/complaints.h"

#include <syslog.h>

#include <cstdio>

#include "tools/common/program.h"

namespace splitring::tools {
namespace {

constexpr uint32_t kLinesAMinute = 20;

}  // namespace

void Complaints::say(const std::string& what) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (now - minute_began_ >= std::chrono::minutes(1)) {
    if (left_out_ != 0) print(std::to_string(left_out_) + " more such lines were left out");
    minute_began_ = now;
    said_ = 0;
    left_out_ = 0;
  }
  if (said_ == kLinesAMinute) {
    left_out_++;
    return;
  }
  said_++;
  print(what);
}

void Complaints::print(const std::string& line) const {
  const std::string safe = printable(line);
  if (in_system_log_)
    syslog(LOG_ERR, "%s", safe.c_str());
  else
    std::fprintf(stderr, "splitring: mount: %s\n", safe.c_str());
}

void Complaints::to_system_log() {
  const std::lock_guard lock(mutex_);
  openlog("splitring-mount", LOG_PID, LOG_DAEMON);
  in_system_log_ = true;
}

Errno Complaints::number_of(const Error& error) {
  switch (error.code) {
    case Errc::kInvalid: return Errno{EINVAL};
    case Errc::kNotFound: return Errno{ENOENT};
    case Errc::kExists: return Errno{EEXIST};
    case Errc::kPermission: return Errno{EPERM};
    case Errc::kBusy: return Errno{EBUSY};
    case Errc::kConflict: return Errno{EAGAIN};
    case Errc::kUnsupported: return Errno{EOPNOTSUPP};
    case Errc::kLimit: return Errno{EFBIG};
    case Errc::kNoSpace: return Errno{ENOSPC};
    case Errc::kIo:
    case Errc::kPeer:
    case Errc::kClosed:
    case Errc::kTimeout: break;
  }
  say(error.what);
  return Errno{EIO};
}

}  // namespace splitring::tools
