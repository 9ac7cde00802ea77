#include "blkimage/stats_device.h"

#include <algorithm>
#include <chrono>

namespace splitring {
namespace {

uint64_t now_ns() noexcept {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

class StatsDevice::Queue final : public ForwardingQueue {
 public:
  Queue(StatsDevice& device, const QueueOptions& options, std::unique_ptr<BlockQueue> below)
      : ForwardingQueue(device.state(), options, std::move(below)), device_(device) {
    const std::lock_guard lock(device_.mutex_);
    device_.lanes_.push_back(&stats_);
  }
  ~Queue() override {
    const std::lock_guard lock(device_.mutex_);
    std::erase(device_.lanes_, &stats_);
    device_.gone_.add(stats_.read());
  }

 private:
  void send(Forward& forward) noexcept override { forward.note = now_ns(); }
  IoStatus answer(const Forward& forward) noexcept override {
    stats_.count(forward.operation, forward.status, forward.byte_count, now_ns() - forward.note);
    return forward.status;
  }

  StatsDevice& device_;
  LaneStats stats_;
};

IoStats StatsDevice::stats() const {
  const std::lock_guard lock(mutex_);
  IoStats sum = gone_;
  for (const LaneStats* lane : lanes_) sum.add(lane->read());
  return sum;
}

Result<std::unique_ptr<BlockQueue>> StatsDevice::open_queue(const QueueOptions& options) {
  return std::make_unique<Queue>(*this, options, TRY(below().open_queue(options)));
}

}  // namespace splitring
