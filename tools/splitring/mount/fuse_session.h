// A mount point, and the threads that answer what the kernel asks there.
//
// libfuse's own loop starts and cancels threads as it likes; ours live as long as the mount, for
// each owns a lane of the disk, and a disk may have few of those.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "tools/splitring/mount/crew.h"
#include "tools/splitring/mount/fuse_operations.h"

namespace splitring::tools {

class FuseSession {
 public:
  struct Options {
    std::string source;          // what `df` shows as the file system
    std::string directory;       // an absolute path
    std::vector<std::string> o;  // "ro", "allow_other"
  };

  // What the thread that calls serve() does beside answering.
  struct Chores {
    std::function<void()> settle;  // when wake() was called
    std::function<bool()> work;    // while nobody asks, until it returns false
  };

  // Mounts. `mount` outlives the session. Errors: what libfuse and the kernel say.
  static Result<std::unique_ptr<FuseSession>> open(FuseMount& mount, const Options& options);
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  // Answers requests on the calling thread, with its `lane`, and on others with as many more as the
  // disk has, until the file system is unmounted or end() is called.
  Result<> serve(BlockDevice& disk, BlockQueue& lane, const Chores& chores);

  // ---- from any other thread

  // Settles soon. May be lost where the thread is about to sleep: call it again.
  void wake();
  // Takes the mount point away, and ends serve() once nobody uses the file system any more, or at
  // the latest after `patience`.
  void end(std::chrono::milliseconds patience);

 private:
  struct Destroy {
    void operator()(fuse_session* session) const { fuse_session_destroy(session); }
  };
  explicit FuseSession(std::string directory) : directory_(std::move(directory)) {}

  void answer(BlockQueue& lane, const Chores* chores);
  bool work_in_between(const Chores& chores);
  [[nodiscard]] bool is_asked() const;
  void interrupt_all();  // mutex_ is held

  const std::string directory_;
  std::unique_ptr<fuse_session, Destroy> session_;
  Crew crew_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> settle_due_{false};
  std::atomic<bool> detached_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<pthread_t> threads_;  // that answer
  pthread_t settler_{};
  bool served_ = false;
};

}  // namespace splitring::tools
