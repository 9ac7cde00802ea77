#include "blkimage/shared_lanes.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "blkimage/forwarding.h"

namespace splitring {
namespace {

constexpr uint32_t kMaxForwards = 4096;

class SharingQueue;

// The lane below, and who waits for it. All under `mutex`.
struct SharedLane {
  std::mutex mutex;
  std::unique_ptr<BlockQueue> below;
  size_t sleepers = 0;

  // Whoever moves the lane on must not leave it disarmed while others sleep on its descriptor.
  void poll() noexcept {
    if (below->poll() == 0) return;
    while (sleepers != 0 && !below->prepare_to_wait()) below->poll();
  }
};

class SharingQueue final : public BlockQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> open(DeviceState& state, const QueueOptions& options,
                                                  SharedLane& lane) {
    std::unique_ptr<SharingQueue> queue(new SharingQueue(state, options, lane));
    queue->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    queue->both_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!queue->wake_ || !queue->both_) return fail_errno("descriptors of a lane", errno);
    for (const int fd : {lane.below->fd(), queue->wake_.get()}) {
      epoll_event event{};
      event.events = EPOLLIN;
      if (::epoll_ctl(queue->both_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return fail_errno("epoll of a lane", errno);
    }
    return queue;
  }

  [[nodiscard]] int fd() const override { return both_.get(); }

 private:
  struct Forward : BlockRequest {
    SharingQueue* owner = nullptr;
    BlockRequest* above = nullptr;
  };

  SharingQueue(DeviceState& state, const QueueOptions& options, SharedLane& lane)
      : BlockQueue(state, SpinWait(options.polling)),
        lane_(lane),
        forwards_(std::clamp(options.depth, 1U, kMaxForwards)) {
    for (Forward& forward : forwards_) {
      forward.owner = this;
      forward.complete = answered;
      free_.push(forward);
    }
  }

  void do_submit(BlockRequest& request) noexcept override { queued_.push(request); }

  void do_kick() noexcept override {
    if (queued_.empty() || free_.empty()) return;
    const std::lock_guard lock(lane_.mutex);
    while (!queued_.empty() && !free_.empty()) {
      BlockRequest& above = queued_.pop();
      auto& forward = static_cast<Forward&>(free_.pop());
      forward.above = &above;
      forward.operation = above.operation;
      forward.first = above.first;
      forward.length = above.length;
      forward.buffers = above.buffers;
      lane_.below->submit(forward);
    }
    lane_.below->kick();
  }

  // Within a poll of the lane below, by any thread that shares it.
  static void answered(BlockRequest& below) noexcept {
    SharingQueue& owner = *static_cast<Forward&>(below).owner;
    owner.answered_.push(below);
    if (!owner.is_asleep_) return;
    owner.end_sleep();
    const uint64_t one = 1;
    (void)!::write(owner.wake_.get(), &one, sizeof one);
    owner.is_signalled_ = true;
  }

  void do_poll() noexcept override {
    RequestList mine;
    {
      const std::lock_guard lock(lane_.mutex);
      if (is_asleep_) end_sleep();
      lane_.poll();
      mine = std::exchange(answered_, {});
      uint64_t count = 0;
      if (is_signalled_) (void)!::read(wake_.get(), &count, sizeof count);
      is_signalled_ = false;
    }
    while (!mine.empty()) {
      auto& forward = static_cast<Forward&>(mine.pop());
      BlockRequest& above = *forward.above;
      const IoStatus status = forward.status;
      free_.push(forward);
      finish(above, status);
    }
  }

  bool do_prepare_to_wait() noexcept override {
    const std::lock_guard lock(lane_.mutex);
    if (!answered_.empty() || !lane_.below->prepare_to_wait()) return false;
    if (!is_asleep_) lane_.sleepers++;
    is_asleep_ = true;
    return true;
  }

  void end_sleep() noexcept {
    is_asleep_ = false;
    lane_.sleepers--;
  }

  Result<std::span<std::byte>> do_allocate(size_t bytes) override {
    const std::lock_guard lock(lane_.mutex);
    return allocate_from(*lane_.below, bytes);
  }
  void do_release(std::span<std::byte> bytes) noexcept override {
    const std::lock_guard lock(lane_.mutex);
    release_to(*lane_.below, bytes);
  }

  SharedLane& lane_;
  UniqueFd wake_;
  UniqueFd both_;  // an epoll of the lane below and of wake_
  std::vector<Forward> forwards_;
  RequestList free_;    // the owner's
  RequestList queued_;  // the owner's: not yet sent below
  // Under the lane's lock:
  RequestList answered_;
  bool is_asleep_ = false;  // its owner sleeps, or is about to, until fd() is readable
  bool is_signalled_ = false;
};

class SharedLanes final : public ForwardingDevice {
 public:
  SharedLanes(std::unique_ptr<BlockDevice> device, std::unique_ptr<BlockQueue> lane)
      : ForwardingDevice(device->geometry(), std::move(device)) {
    lane_.below = std::move(lane);
  }

  [[nodiscard]] std::string name() const override { return below().name(); }

  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    auto own = below().open_queue(options);
    if (own || own.error().code != Errc::kLimit) return own;
    return SharingQueue::open(state(), options, lane_);
  }

 private:
  SharedLane lane_;  // goes before the device below
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> make_lanes_shared(std::unique_ptr<BlockDevice> below) {
  auto lane = TRY(below->open_queue({}));
  return std::make_unique<SharedLanes>(std::move(below), std::move(lane));
}

}  // namespace splitring
