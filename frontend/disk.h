// frontend::Disk: a disk that a backend domain offers to ours, as a BlockDevice.
//
// connect() shakes hands with the backend; a control thread then keeps watch: it follows a resize,
// reconnects to a backend that was restarted (requests wait meanwhile and those that were not
// answered are sent again), and gives up by the timeouts of DiskOptions. A reconnected disk must
// have the same block size and at least as many lanes, or the reconnection is refused. A disk that
// the toolstack took away has gone for good: one that it gives under the same number is another
// disk, to be connected anew.
//
// Trust: the backend may do whatever it likes. It reaches the rings and the pages of the lanes'
// pools and nothing else of this process; what it writes costs it the device ("disabled for further
// use", everything fails with kGone), never memory. Buffers from BlockQueue::allocate() are pages
// that the backend can read and write at any time, unless the toolstack wrote trusted=0: then
// allocate() gives private memory and all data is copied.
//
// Durability: without feature-flush-cache (or feature-barrier) a backend answers a write only when
// it is durable, so flushes complete at once and geometry().needs_flush is false. A flush that was
// offered and is refused all the same completes with kUnsupported every time: what was written is
// not durable and the caller knows (F18); it does not poison the disk. A flush that fails does.
//
// Thread-safe, as BlockDevice. The host must outlive the disk.
#pragma once

#include <memory>
#include <string>

#include "blkimage/block_device.h"
#include "frontend/disk_options.h"
#include "xenbus/host.h"

namespace splitring::frontend {

class Control;

class Disk final : public BlockDevice {
 public:
  // Waits for the backend until the connect timeout. Errors say what was waited for, what state the
  // backend is in, what it says of it, and what to do.
  static Result<std::unique_ptr<Disk>> connect(Host& host, uint32_t device_number,
                                               const DiskOptions& options);
  // Leaves the backend; waits for it for the close timeout at most.
  ~Disk() override;

  [[nodiscard]] std::string name() const override;
  // One lane a call, up to the number negotiated; a lane that was returned can be opened again.
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;
  [[nodiscard]] DiskStatistics statistics() const;
  // The value of the node kConnectionNode (frontend/handshake.h) in our directory for as long as it
  // is this disk that the toolstack gives us there.
  [[nodiscard]] const std::string& connection() const;

 private:
  Disk(const Geometry& geometry, std::unique_ptr<Control> control);

  std::unique_ptr<Control> control_;
};

}  // namespace splitring::frontend
