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
    UniqueFd flush_fd = TRY(open_for_flushes(file));
    return std::unique_ptr<BlockQueue>(new RawPlainLane(file, state, options, std::move(never),
                                                        std::move(flush_fd), std::move(bounce)));
  }

 private:
  RawPlainLane(RawFile& file, DeviceState& state, const QueueOptions& options,
               UniqueFd never_readable, UniqueFd flush_fd, PagePool bounce)
      : SynchronousQueue(state, options, std::move(never_readable)),
        file_(file),
        flush_fd_(std::move(flush_fd)),
        bounce_(std::move(bounce)) {}

  std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
    return blocking_step(file_, flush_fd_.get(), request, bounce_.memory());
  }

  RawFile& file_;
  const UniqueFd flush_fd_;
  PagePool bounce_;  // untouched, so free, unless direct I/O meets a misaligned buffer
};

}  // namespace

Result<std::unique_ptr<BlockQueue>> open_raw_plain_lane(RawFile& file, DeviceState& state,
                                                        const QueueOptions& options) {
  return RawPlainLane::create(file, state, options);
}

}  // namespace splitring
