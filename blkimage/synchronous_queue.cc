#include "blkimage/synchronous_queue.h"

#include <sys/eventfd.h>

namespace splitring {
namespace {

// One poll() does at most this much: long enough to be cheap, short enough that answers flow.
constexpr int kStepsPerPoll = 16;
constexpr uint64_t kBytesPerPoll = 256U << 10;

}  // namespace

Result<UniqueFd> SynchronousQueue::make_never_readable() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno("eventfd of a lane", errno);
  return fd;
}

void SynchronousQueue::do_submit(BlockRequest& request) noexcept {
  request.scratch = {};
  queued(request);
  queued_.push(request);
}

void SynchronousQueue::do_poll() noexcept {
  uint64_t bytes = 0;
  for (int step = 0; step < kStepsPerPoll && bytes < kBytesPerPoll && !queued_.empty(); step++) {
    BlockRequest& request = queued_.pop();
    bytes += request.byte_count;
    if (const auto status = do_step(request))
      finish(request, *status);
    else
      queued_.push(request);  // behind the others, so that a long discard does not hold them up
  }
}

}  // namespace splitring
