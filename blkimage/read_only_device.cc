#include "blkimage/read_only_device.h"

#include "blkimage/forwarding.h"

namespace splitring {
namespace {

Geometry read_only(Geometry geometry) {
  geometry.read_only = true;
  geometry.discard_granularity_bytes = 0;
  return geometry;
}

// Changes are refused by BlockQueue::submit(), which knows the geometry.
class ReadOnlyQueue final : public ForwardingQueue {
 public:
  ReadOnlyQueue(DeviceState& state, const QueueOptions& options, std::unique_ptr<BlockQueue> below)
      : ForwardingQueue(state, options, std::move(below)) {}
};

class ReadOnlyDevice final : public ForwardingDevice {
 public:
  explicit ReadOnlyDevice(std::unique_ptr<BlockDevice> device)
      : ForwardingDevice(read_only(device->geometry()), std::move(device)) {}

  [[nodiscard]] std::string name() const override { return below().name() + " (read-only)"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override {
    return std::make_unique<ReadOnlyQueue>(state(), options, TRY(below().open_queue(options)));
  }
};

}  // namespace

std::unique_ptr<BlockDevice> make_read_only(std::unique_ptr<BlockDevice> below) {
  return std::make_unique<ReadOnlyDevice>(std::move(below));
}

}  // namespace splitring
