// A device that counts what passes through it: requests and bytes by operation, errors by status,
// latencies from the kick that sent a request below to its completion. Requests that the checks of
// BlockQueue::submit refuse never get here and are not counted.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "blkimage/forwarding.h"
#include "blkimage/io_stats.h"

namespace splitring {

class StatsDevice final : public ForwardingDevice {
 public:
  explicit StatsDevice(std::unique_ptr<BlockDevice> device)
      : ForwardingDevice(device->geometry(), std::move(device)) {}

  // Of all lanes, those that are gone included. Any thread.
  [[nodiscard]] IoStats stats() const;

  [[nodiscard]] std::string name() const override { return below().name(); }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

 private:
  class Queue;

  mutable std::mutex mutex_;             // of lanes coming, going and being read; not of requests
  std::vector<const LaneStats*> lanes_;  // guarded by mutex_
  IoStats gone_;                         // guarded by mutex_
};

}  // namespace splitring
