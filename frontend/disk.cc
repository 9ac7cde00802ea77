#include "frontend/disk.h"

#include <utility>

#include "frontend/control.h"
#include "frontend/lane.h"
#include "xenbus/device_path.h"

namespace splitring::frontend {

Result<std::unique_ptr<Disk>> Disk::connect(Host& host, uint32_t device_number,
                                            const DiskOptions& options) {
  auto control = Control::connect(host, device_number, options);
  if (!control)
    return fail_within("vbd:" + virtual_device_name(device_number), std::move(control).error());
  const Geometry geometry = (*control)->geometry();
  return std::unique_ptr<Disk>(new Disk(geometry, std::move(*control)));
}

Disk::Disk(const Geometry& geometry, std::unique_ptr<Control> control)
    : BlockDevice(geometry), control_(std::move(control)) {
  control_->start([this](Sectors capacity) { set_capacity(capacity); });
}

Disk::~Disk() = default;

std::string Disk::name() const { return "vbd:" + virtual_device_name(control_->device()); }

Result<std::unique_ptr<BlockQueue>> Disk::open_queue(const QueueOptions& options) {
  for (const auto& slot : control_->slots()) {
    auto lane = Lane::open(state(), *slot, control_->ring_slots(), options);
    if (lane || lane.error().code != Errc::kBusy) return lane;
  }
  const DiskStatistics now = control_->statistics();
  return fail(Errc::kLimit, name() + ": all its lanes are open (" + std::to_string(now.lanes) +
                                "): connect with more lanes; the backend offers " +
                                std::to_string(now.max_lanes_offered));
}

DiskStatistics Disk::statistics() const { return control_->statistics(); }

const std::string& Disk::connection() const { return control_->mark(); }

}  // namespace splitring::frontend
