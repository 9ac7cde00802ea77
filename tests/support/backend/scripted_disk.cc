#include "tests/support/backend/scripted_disk.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/unique_fd.h"

namespace splitring::backend {

class ScriptedDisk::Lane final : public BlockQueue {
 public:
  Lane(ScriptedDisk& disk, SpinWait::Mode polling)
      : BlockQueue(disk.state(), SpinWait(polling)), disk_(disk) {}

  [[nodiscard]] int fd() const override { return readable_.get(); }

  // With the disk's mutex held.
  void ready(BlockRequest& request) {
    ready_.push_back(&request);
    const uint64_t one = 1;
    static_cast<void>(!::write(readable_.get(), &one, sizeof one));
  }

 private:
  void do_submit(BlockRequest& request) noexcept override {
    const std::lock_guard lock(disk_.mutex_);
    disk_.seen_.push_back(
        {request.operation, request.first, request.byte_count, disk_.held_.size()});
    disk_.held_.push_back({&request, this});
    if (!disk_.withholding_) disk_.let_go(disk_.held_.size() - 1);
    disk_.came_.notify_all();
  }
  void do_kick() noexcept override {}
  void do_poll() noexcept override {
    std::vector<BlockRequest*> done;
    {
      const std::lock_guard lock(disk_.mutex_);
      uint64_t count = 0;
      static_cast<void>(!::read(readable_.get(), &count, sizeof count));
      done.swap(ready_);
      for (BlockRequest* request : done) disk_.execute(*request);
    }
    for (BlockRequest* request : done) finish(*request, request->status);
  }
  bool do_prepare_to_wait() noexcept override {
    const std::lock_guard lock(disk_.mutex_);
    return ready_.empty();
  }

  ScriptedDisk& disk_;
  UniqueFd readable_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<BlockRequest*> ready_;
};

ScriptedDisk::ScriptedDisk(const Geometry& geometry)
    : BlockDevice(geometry), bytes_(geometry.capacity.bytes()) {}

void ScriptedDisk::when_looked_at(std::function<void()> hook) {
  const std::lock_guard lock(mutex_);
  looked_at_ = std::move(hook);
}

Result<Sectors> ScriptedDisk::refresh_capacity() {
  std::function<void()> hook;
  {
    const std::lock_guard lock(mutex_);
    hook = looked_at_;
  }
  if (hook) hook();
  return geometry().capacity;
}

void ScriptedDisk::withhold(bool on) {
  const std::lock_guard lock(mutex_);
  withholding_ = on;
  while (!on && !held_.empty()) let_go(0);
}

void ScriptedDisk::release(size_t index) {
  const std::lock_guard lock(mutex_);
  let_go(index);
}

void ScriptedDisk::forget() {
  const std::lock_guard lock(mutex_);
  held_.clear();
}

void ScriptedDisk::let_go(size_t index) {
  const Held held = held_.at(index);
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
  held.lane->ready(*held.request);
}

void ScriptedDisk::set_verdict(std::function<IoStatus(const BlockRequest&)> verdict) {
  const std::lock_guard lock(mutex_);
  verdict_ = std::move(verdict);
}

void ScriptedDisk::execute(BlockRequest& request) {
  request.status = verdict_ ? verdict_(request) : IoStatus::kOk;
  if (request.status != IoStatus::kOk) return;
  if (request.operation == Operation::kDiscard)
    std::memset(bytes_.data() + request.first.bytes(), 0, request.byte_count);
  if (request.operation != Operation::kRead && request.operation != Operation::kWrite) return;
  std::byte* at = bytes_.data() + request.first.bytes();
  for (const iovec& buffer : request.buffers) {
    if (request.operation == Operation::kRead)
      std::memcpy(buffer.iov_base, at, buffer.iov_len);
    else
      std::memcpy(at, buffer.iov_base, buffer.iov_len);
    at += buffer.iov_len;
  }
}

std::vector<ScriptedDisk::Seen> ScriptedDisk::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

size_t ScriptedDisk::held() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

bool ScriptedDisk::wait_until_held(size_t count) const {
  std::unique_lock lock(mutex_);
  return came_.wait_for(lock, std::chrono::minutes(1), [&] { return held_.size() >= count; });
}

std::vector<std::byte> ScriptedDisk::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

Result<std::unique_ptr<BlockQueue>> ScriptedDisk::open_queue(const QueueOptions& options) {
  return std::make_unique<Lane>(*this, options.polling);
}

}  // namespace splitring::backend
