#include "tests/support/fs/test_disk.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"

namespace splitring::test {
namespace {

Geometry geometry_of(size_t bytes, uint32_t block_bytes) {
  Geometry geometry;
  geometry.capacity = Sectors::from_bytes(round_up(bytes, block_bytes));
  geometry.logical_block_bytes = block_bytes;
  geometry.physical_block_bytes = block_bytes;
  geometry.read_only = true;
  geometry.needs_flush = false;
  return geometry;
}

}  // namespace

class TestLane final : public BlockQueue {
 public:
  TestLane(TestDisk& disk, DeviceState& state)
      : BlockQueue(state, SpinWait(SpinWait::Mode::kOff)), disk_(disk), ready_(eventfd(1, 0)) {}

  int fd() const override { return ready_.get(); }

 private:
  void do_submit(BlockRequest& request) noexcept override { queued_.push_back(&request); }
  void do_kick() noexcept override {
    started_.insert(started_.end(), queued_.begin(), queued_.end());
    queued_.clear();
    disk_.counts_.most_in_flight = std::max(disk_.counts_.most_in_flight, started_.size());
  }
  // The latest first: nobody may rely on an order.
  void do_poll() noexcept override {
    for (std::vector<BlockRequest*> done = std::exchange(started_, {}); !done.empty();
         done.pop_back())
      finish(*done.back(), serve(*done.back()));
  }
  bool do_prepare_to_wait() noexcept override { return false; }
  Result<std::span<std::byte>> do_allocate(size_t bytes) override {
    if (disk_.faults_.no_pool) return fail(Errc::kLimit, "no pool");
    auto* memory = static_cast<std::byte*>(
        std::aligned_alloc(kPageSize, round_up(bytes, kPageSize)));  // freed below us
    if (memory == nullptr) return fail(Errc::kLimit, "out of memory");
    return std::span(memory, bytes);
  }

  IoStatus serve(const BlockRequest& request) noexcept {
    if (request.operation != Operation::kRead) return IoStatus::kOk;
    disk_.counts_.reads++;
    disk_.counts_.bytes += request.byte_count;
    const uint64_t length = Sectors::from_bytes(request.byte_count).count;
    if (disk_.faults_.failing_sector - request.first.count < length) return IoStatus::kIoError;
    uint64_t at = request.first.bytes();
    for (const iovec& part : request.buffers) {
      std::memcpy(part.iov_base, disk_.content_.data() + at, part.iov_len);
      at += part.iov_len;
    }
    return IoStatus::kOk;
  }

  TestDisk& disk_;
  UniqueFd ready_;
  std::vector<BlockRequest*> queued_;
  std::vector<BlockRequest*> started_;
};

TestDisk::TestDisk(std::string content, uint32_t block_bytes)
    : TestDisk(std::move(content), block_bytes, Faults{}) {}

TestDisk::TestDisk(std::string content, uint32_t block_bytes, const Faults& faults)
    : BlockDevice(geometry_of(content.size(), block_bytes)),
      content_(std::move(content)),
      faults_(faults) {
  content_.resize(round_up(content_.size(), block_bytes), '\0');
}

Result<std::unique_ptr<BlockQueue>> TestDisk::open_queue(const QueueOptions&) {
  if (lanes_opened_ == faults_.no_lanes_after) return fail(Errc::kLimit, "no more lanes");
  lanes_opened_++;
  return std::make_unique<TestLane>(*this, state());
}

}  // namespace splitring::test
