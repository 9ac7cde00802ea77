#include "blkimage/forwarding.h"

#include <sys/epoll.h>

#include <algorithm>

namespace splitring {
namespace {

constexpr uint32_t kMaxForwards = 4096;

}  // namespace

Result<Sectors> ForwardingDevice::refresh_capacity() {
  set_capacity(TRY(below_->refresh_capacity()));
  return geometry().capacity;
}

ForwardingQueue::ForwardingQueue(DeviceState& state, const QueueOptions& options,
                                 std::unique_ptr<BlockQueue> below)
    : BlockQueue(state, SpinWait(options.polling)),
      below_(std::move(below)),
      forwards_(std::clamp(options.depth, 1U, kMaxForwards)) {
  for (Forward& forward : forwards_) {
    forward.lane = this;
    forward.complete = answered;
    free_.push(forward);
  }
}

Result<> ForwardingQueue::wake_also_for(int also) {
  both_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!both_) return fail_errno("epoll of a lane", errno);
  for (const int fd : {below_->fd(), also}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(both_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return fail_errno("epoll of a lane", errno);
  }
  return {};
}

void ForwardingQueue::do_kick() noexcept {
  while (!queued_.empty() && !free_.empty() && may_start(*queued_.front())) {
    BlockRequest& above = queued_.pop();
    auto& forward = static_cast<Forward&>(free_.pop());
    forward.above = &above;
    forward.operation = above.operation;
    forward.first = above.first;
    forward.length = above.length;
    forward.buffers = above.buffers;
    send(forward);
    below_->submit(forward);
  }
  below_->kick();
}

void ForwardingQueue::answered(BlockRequest& below) noexcept {
  auto& forward = static_cast<Forward&>(below);
  ForwardingQueue& lane = *forward.lane;
  BlockRequest& above = *forward.above;
  const IoStatus status = lane.answer(forward);
  lane.free_.push(forward);
  lane.finish(above, status);
}

void ForwardingQueue::complete_later(BlockRequest& request, IoStatus status) noexcept {
  request.status = status;
  done_.push(request);
}

void ForwardingQueue::do_poll() noexcept {
  below_->poll();
  // Only those that are there now: their completions may add others without end.
  RequestList told = std::exchange(done_, {});
  while (!told.empty()) {
    BlockRequest& request = told.pop();
    finish(request, request.status);
  }
}

bool ForwardingQueue::do_prepare_to_wait() noexcept {
  return done_.empty() && below_->prepare_to_wait();
}

void ForwardingQueue::do_sleep() noexcept {
  if (both_)
    BlockQueue::do_sleep();
  else if (done_.empty())
    sleep_on(*below_);
}

}  // namespace splitring
