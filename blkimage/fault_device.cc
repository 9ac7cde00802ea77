#include "blkimage/fault_device.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>

namespace splitring {

// A request's scratch is free here, as it is a copy that goes below: scratch[0] keeps the verdict's
// status while a request is held.
class FaultDevice::Queue final : public ForwardingQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> create(FaultDevice& device,
                                                    const QueueOptions& options) {
    auto below = TRY(device.below().open_queue(options));
    UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return fail_errno("eventfd of a lane", errno);
    std::unique_ptr<Queue> lane(new Queue(device, options, std::move(below), std::move(event)));
    TRY_VOID(lane->wake_also_for(lane->released_event_.get()));
    return lane;
  }
  ~Queue() override {
    const std::lock_guard lock(device_.mutex_);
    std::erase(device_.lanes_, this);
  }

  // Any thread.
  void release() noexcept {
    released_.store(true, std::memory_order_release);
    static_cast<void>(::eventfd_write(released_event_.get(), 1));
  }

 private:
  Queue(FaultDevice& device, const QueueOptions& options, std::unique_ptr<BlockQueue> below,
        UniqueFd event)
      : ForwardingQueue(device.state(), options, std::move(below)),
        device_(device),
        released_event_(std::move(event)) {
    const std::lock_guard lock(device_.mutex_);
    device_.lanes_.push_back(this);
  }

  void do_submit(BlockRequest& request) noexcept override {
    const Verdict verdict = device_.judge(request);
    if (!verdict.hold) return go_on(request, verdict.status);
    request.scratch[0] = static_cast<uint64_t>(verdict.status);
    held_.push(request);
  }

  void go_on(BlockRequest& request, IoStatus status) noexcept {
    if (status == IoStatus::kOk)
      ForwardingQueue::do_submit(request);
    else
      complete_later(request, status);
  }

  void do_poll() noexcept override {
    if (released_.exchange(false, std::memory_order_acquire)) {
      eventfd_t count;
      static_cast<void>(::eventfd_read(released_event_.get(), &count));
      while (!held_.empty()) {
        BlockRequest& request = held_.pop();
        go_on(request, static_cast<IoStatus>(request.scratch[0]));
      }
      kick();
    }
    ForwardingQueue::do_poll();
  }

  bool do_prepare_to_wait() noexcept override {
    return !released_.load(std::memory_order_acquire) && ForwardingQueue::do_prepare_to_wait();
  }

  FaultDevice& device_;
  RequestList held_;
  std::atomic<bool> released_{false};
  UniqueFd released_event_;
};

FaultDevice::FaultDevice(std::unique_ptr<BlockDevice> device, uint64_t seed)
    : ForwardingDevice(device->geometry(), std::move(device)), random_(seed) {}

FaultDevice::~FaultDevice() = default;

void FaultDevice::add_rule(const FaultRule& rule) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({rule});
}

void FaultDevice::clear_rules() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
}

void FaultDevice::release() {
  const std::lock_guard lock(mutex_);
  for (Queue* lane : lanes_) lane->release();
}

uint64_t FaultDevice::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

bool FaultRule::covers(const BlockRequest& request) const noexcept {
  if (operation && *operation != request.operation) return false;
  if (first.count == 0 && length.count == kEverywhere) return true;
  if (request.operation == Operation::kFlush) return false;
  const uint64_t start = request.first.count;
  return start >= first.count
             ? start - first.count < length.count
             : length.count != 0 && first.count - start < request.byte_count / kSectorSize;
}

FaultDevice::Verdict FaultDevice::judge(const BlockRequest& request) noexcept {
  const std::lock_guard lock(mutex_);
  for (Rule& rule : rules_) {
    if (!rule.covers(request)) continue;
    if (rule.matched++ < rule.let_pass || rule.hit >= rule.times) continue;
    if (rule.chance < 1 && std::uniform_real_distribution(0.0, 1.0)(random_) >= rule.chance)
      continue;
    rule.hit++;
    hits_++;
    return {rule.hold, rule.status};
  }
  return {};
}

Result<std::unique_ptr<BlockQueue>> FaultDevice::open_queue(const QueueOptions& options) {
  return Queue::create(*this, options);
}

}  // namespace splitring
