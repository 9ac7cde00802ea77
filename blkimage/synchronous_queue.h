// A lane whose requests never wait for anything: data in memory, or a kernel that offers nothing
// better. It has no ring and no thread: poll() itself does the work, a bounded share each time, so
// that answers to the first of many requests are not held back by the last.
//
// fd() never becomes readable, because prepare_to_wait() refuses as long as there is work to do.
#pragma once

#include <optional>

#include "base/unique_fd.h"
#include "blkimage/block_device.h"

namespace splitring {

class SynchronousQueue : public BlockQueue {
 public:
  [[nodiscard]] int fd() const final { return never_readable_.get(); }

 protected:
  SynchronousQueue(DeviceState& state, const QueueOptions& options, UniqueFd never_readable)
      : BlockQueue(state, SpinWait(options.polling)), never_readable_(std::move(never_readable)) {}

  // The descriptor that the constructor wants.
  static Result<UniqueFd> make_never_readable();

 private:
  // A request was submitted: its `scratch` is zero, and may be given something to remember.
  virtual void queued(BlockRequest&) noexcept {}
  // Does the request, or one bounded slice of it; nothing means that there is more to do. The
  // request's `scratch` keeps what a step leaves there.
  virtual std::optional<IoStatus> do_step(BlockRequest& request) noexcept = 0;

  void do_submit(BlockRequest& request) noexcept final;
  void do_kick() noexcept final {}
  void do_poll() noexcept final;
  bool do_prepare_to_wait() noexcept final { return queued_.empty(); }

  RequestList queued_;
  UniqueFd never_readable_;
};

}  // namespace splitring
