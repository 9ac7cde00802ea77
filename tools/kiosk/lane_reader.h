// A lane in an Asio loop: reads are started from handlers, complete in the loop, and those of one
// turn of the loop start as one batch.
//
// One owner thread, the loop's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "tools/kiosk/kiosk_metrics.h"

namespace splitring::kiosk {

using Loop = boost::asio::io_context;
using LoopExecutor = Loop::executor_type;

class LaneReader {
 public:
  // All outlive the reader.
  LaneReader(Loop& loop, BlockQueue& lane, WorkerMetrics& metrics);
  // Precondition: nothing in flight.
  ~LaneReader() = default;
  LaneReader(const LaneReader&) = delete;
  LaneReader& operator=(const LaneReader&) = delete;

  // Call once, before the first read.
  Result<> open();
  // Starts a read in this turn of the loop; `read.complete` runs in a later one.
  void start(BlockRequest& read);
  [[nodiscard]] BlockQueue& lane() { return lane_; }

 private:
  void schedule();
  void pump();

  Loop& loop_;
  BlockQueue& lane_;
  WorkerMetrics& metrics_;
  // A duplicate of the lane's descriptor: both close theirs.
  boost::asio::posix::basic_stream_descriptor<LoopExecutor> ready_;
  bool scheduled_ = false;
  bool waiting_ = false;
};

}  // namespace splitring::kiosk
