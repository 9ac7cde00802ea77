// A raw image's lane of plain system calls: for data that is in memory anyway, where nothing is
// faster, and for kernels that refuse io_uring.
#include "blkimage/page_pool.h"
#include "blkimage/raw_lanes.h"
#include "blkimage/synchronous_queue.h"

namespace splitring {
namespace {

class RawPlainLane final : public SynchronousQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> create(RawFile& file, DeviceState& state,
                                                    const QueueOptions& options) {
    PagePool bounce = TRY(PagePool::create(kBounceBytes));
    UniqueFd never = TRY(make_never_readable());
    return std::unique_ptr<BlockQueue>(
        new RawPlainLane(file, state, options, std::move(never), std::move(bounce)));
  }

 private:
  RawPlainLane(RawFile& file, DeviceState& state, const QueueOptions& options,
               UniqueFd never_readable, PagePool bounce)
      : SynchronousQueue(state, options, std::move(never_readable)),
        file_(file),
        bounce_(std::move(bounce)) {}

  std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
    return blocking_step(file_, request, bounce_.memory());
  }

  RawFile& file_;
  PagePool bounce_;  // untouched, so free, unless direct I/O meets a misaligned buffer
};

}  // namespace

Result<std::unique_ptr<BlockQueue>> open_raw_plain_lane(RawFile& file, DeviceState& state,
                                                        const QueueOptions& options) {
  return RawPlainLane::create(file, state, options);
}

}  // namespace splitring
