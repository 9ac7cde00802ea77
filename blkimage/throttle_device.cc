#include "blkimage/throttle_device.h"

#include <sys/timerfd.h>

#include <mutex>

#include "blkimage/forwarding.h"
#include "blkimage/token_bucket.h"

namespace splitring {
namespace {

TokenBucket::Time now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }

uint64_t burst_or_tenth(uint64_t burst, uint64_t per_second) {
  return burst != 0 ? burst : per_second / 10;
}

// What the lanes share.
class Allowance {
 public:
  explicit Allowance(const ThrottleLimits& limits)
      : requests_(limits.requests_per_second,
                  burst_or_tenth(limits.burst_requests, limits.requests_per_second), now()),
        bytes_(limits.bytes_per_second, burst_or_tenth(limits.burst_bytes, limits.bytes_per_second),
               now()) {}

  // Zero: taken, start it. Otherwise how long to wait before asking again.
  TokenBucket::Time take(uint64_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const TokenBucket::Time time = now();
    const auto delay = std::max(requests_.delay(time), bytes_.delay(time));
    if (delay == TokenBucket::Time::zero()) {
      requests_.spend(1);
      bytes_.spend(bytes);
    }
    return delay;
  }

 private:
  std::mutex mutex_;
  TokenBucket requests_;  // guarded by mutex_
  TokenBucket bytes_;     // guarded by mutex_
};

class ThrottledQueue final : public ForwardingQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> create(DeviceState& state, const QueueOptions& options,
                                                    std::unique_ptr<BlockQueue> below,
                                                    Allowance& allowance) {
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer) return fail_errno("timer of a throttled lane", errno);
    std::unique_ptr<ThrottledQueue> lane(
        new ThrottledQueue(state, options, std::move(below), allowance, std::move(timer)));
    TRY_VOID(lane->wake_also_for(lane->timer_.get()));
    return lane;
  }

 private:
  ThrottledQueue(DeviceState& state, const QueueOptions& options, std::unique_ptr<BlockQueue> below,
                 Allowance& allowance, UniqueFd timer)
      : ForwardingQueue(state, options, std::move(below)),
        allowance_(allowance),
        timer_(std::move(timer)) {}

  bool may_start(const BlockRequest& request) noexcept override {
    if (now() < blocked_until_) return false;
    const auto delay = allowance_.take(request.byte_count);
    if (delay == TokenBucket::Time::zero()) return true;
    blocked_until_ = now() + delay;
    blocked_ = true;
    // Setting it again also makes the descriptor unreadable.
    const auto seconds = std::chrono::floor<std::chrono::seconds>(delay);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = (delay - seconds).count();
    ::timerfd_settime(timer_.get(), 0, &when, nullptr);
    return false;
  }

  void do_poll() noexcept override {
    if (blocked_ && now() >= blocked_until_) {
      blocked_ = false;
      uint64_t expirations;
      static_cast<void>(!::read(timer_.get(), &expirations, sizeof expirations));
      kick();
    }
    ForwardingQueue::do_poll();
  }

  bool do_prepare_to_wait() noexcept override {
    return !(blocked_ && now() >= blocked_until_) && ForwardingQueue::do_prepare_to_wait();
  }

  Allowance& allowance_;
  UniqueFd timer_;
  bool blocked_ = false;  // the timer is set; requests wait until then
  TokenBucket::Time blocked_until_{};
};

class ThrottledDevice final : public ForwardingDevice {
 public:
  ThrottledDevice(std::unique_ptr<BlockDevice> device, const ThrottleLimits& limits)
      : ForwardingDevice(device->geometry(), std::move(device)), allowance_(limits) {}

  [[nodiscard]] std::string name() const override { return below().name() + " (throttled)"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    return ThrottledQueue::create(state(), options, TRY(below().open_queue(options)), allowance_);
  }

 private:
  Allowance allowance_;
};

}  // namespace

std::unique_ptr<BlockDevice> make_throttled(std::unique_ptr<BlockDevice> below,
                                            const ThrottleLimits& limits) {
  return std::make_unique<ThrottledDevice>(std::move(below), limits);
}

}  // namespace splitring
