#include "blkimage/range_device.h"

#include <algorithm>

#include "blkimage/forwarding.h"

namespace splitring {
namespace {

// As near as the error comes: what is wrong with a request itself was found above.
IoStatus status_of(const Result<>& done) {
  if (done) return IoStatus::kOk;
  switch (done.error().code) {
    case Errc::kNoSpace: return IoStatus::kNoSpace;
    case Errc::kUnsupported: return IoStatus::kUnsupported;
    case Errc::kClosed: return IoStatus::kGone;
    default: return IoStatus::kIoError;
  }
}

class RangeQueue final : public ForwardingQueue {
 public:
  RangeQueue(DeviceState& state, const QueueOptions& options, std::unique_ptr<BlockQueue> below,
             Sectors start)
      : ForwardingQueue(state, options, std::move(below)), start_(start) {}

 private:
  // No overflow: the request was checked against the window, and the window against the device.
  void send(Forward& forward) noexcept override {
    if (forward.operation != Operation::kFlush) forward.first += start_;
  }
  // A blocking call that the lane below may know a shorter way for.
  std::optional<IoStatus> do_now(BlockRequest& request, bool durably) noexcept override {
    if (request.operation == Operation::kFlush) return status_of(below().flush());
    if (!durably || request.buffers.size() != 1) return std::nullopt;
    const iovec& buffer = request.buffers.front();
    return status_of(below().write_durably(
        request.first + start_, {static_cast<const std::byte*>(buffer.iov_base), buffer.iov_len}));
  }

  const Sectors start_;
};

Geometry windowed(Geometry geometry, Sectors length) {
  geometry.capacity = length;
  return geometry;
}

class RangeDevice final : public ForwardingDevice {
 public:
  RangeDevice(std::unique_ptr<BlockDevice> device, Sectors start, Sectors length)
      : ForwardingDevice(windowed(device->geometry(), length), std::move(device)),
        start_(start),
        length_(length) {}

  [[nodiscard]] std::string name() const override {
    return below().name() + " [" + std::to_string(start_.count) + "+" +
           std::to_string(length_.count) + "]";
  }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    return std::make_unique<RangeQueue>(state(), options, TRY(below().open_queue(options)), start_);
  }
  Result<Sectors> refresh_capacity() override {
    const Sectors whole = TRY(below().refresh_capacity());
    const Sectors behind_start = whole > start_ ? whole - start_ : Sectors{};
    set_capacity(std::min(length_, behind_start));
    return geometry().capacity;
  }

 private:
  const Sectors start_;
  const Sectors length_;
};

}  // namespace

Result<std::unique_ptr<BlockDevice>> make_range(std::unique_ptr<BlockDevice> below, Sectors first,
                                                Sectors length) {
  const Geometry whole = below->geometry();
  const std::string window = below->name() + ": a window of " + std::to_string(length.count) +
                             " sectors at " + std::to_string(first.count);
  if (length.count == 0 || !in_range(first, length, whole.capacity))
    return fail(Errc::kInvalid, window + " does not lie in its " +
                                    std::to_string(whole.capacity.count) + " sectors");
  const uint64_t block = whole.logical_block_bytes / kSectorSize;
  if (first.count % block != 0 || length.count % block != 0)
    return fail(Errc::kInvalid, window + " does not start and end with a block of " +
                                    std::to_string(whole.logical_block_bytes) + " bytes");
  return std::make_unique<RangeDevice>(std::move(below), first, length);
}

}  // namespace splitring
