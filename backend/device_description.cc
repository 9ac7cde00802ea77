// What a device says of itself: to its frontend, to the ring's parser, to who asks the daemon.
#include <algorithm>

#include "backend/device.h"

namespace splitring::backend {

DiskNodes Device::disk_nodes() const {
  const Geometry geometry = disk_->geometry();
  DiskNodes nodes;
  nodes.capacity = geometry.capacity;
  nodes.block_bytes = geometry.logical_block_bytes;
  nodes.physical_block_bytes =
      std::max(geometry.physical_block_bytes, geometry.logical_block_bytes);
  nodes.read_only = geometry.read_only;
  nodes.flush = true;
  nodes.barrier = workers_.size() == 1;
  nodes.discard =
      discard_enabled_ && geometry.discard_granularity_bytes != 0 && !geometry.read_only;
  nodes.discard_granularity_bytes = geometry.discard_granularity_bytes;
  return nodes;
}

blkif::DiskLimits Device::disk_limits() const {
  const Geometry geometry = disk_->geometry();
  blkif::DiskLimits limits;
  limits.capacity = geometry.capacity;
  limits.block_bytes = geometry.logical_block_bytes;
  limits.read_only = geometry.read_only;
  limits.discard_offered = discard_enabled_ && geometry.discard_granularity_bytes != 0;
  limits.indirect_segments_offered = static_cast<uint16_t>(offer_.max_indirect_segments);
  return limits;
}

DeviceReport Device::report() const {
  DeviceReport report;
  report.path = path_;
  report.target = target_;
  report.state = own_;
  report.error = error_;
  report.steps = steps_;
  report.counters = past_;
  for (const auto& worker : workers_) {
    report.counters.add(worker->counters().values());
    report.in_flight += worker->counters().in_flight.value();
  }
  if (disk_) {
    const Geometry geometry = disk_->geometry();
    report.read_only = geometry.read_only;
    report.capacity = geometry.capacity;
    report.block_bytes = geometry.logical_block_bytes;
  }
  if (hangs()) report.error = "disconnecting, but the image does not answer";
  if (!connected_) return report;
  report.queues = static_cast<uint32_t>(workers_.size());
  report.ring_pages = ring_pages_;
  report.persistent_grants = persistent_;
  report.abi = blkif::to_string(abi_);
  return report;
}

}  // namespace splitring::backend
