// A lane in an event loop: reads are started from handlers, complete in the loop, and those of one
// turn start as one batch.
//
// One owner thread, the loop's.
#pragma once

#include "base/result.h"
#include "blkimage/block_device.h"
#include "tools/kiosk/http/loop.h"
#include "tools/kiosk/http/metrics.h"

namespace splitring::kiosk {

class LaneReader final : public http::Loop::Watcher, public http::Loop::EndOfTurn {
 public:
  // All outlive the reader.
  LaneReader(http::Loop& loop, BlockQueue& lane, http::WorkerMetrics& metrics)
      : loop_(loop), lane_(lane), metrics_(metrics) {}
  // Waits for what is in flight.
  ~LaneReader() override;
  LaneReader(const LaneReader&) = delete;
  LaneReader& operator=(const LaneReader&) = delete;

  // Call once, before the first read.
  Result<> open();
  // Starts a read at the end of this turn; `read.complete` runs then or in a later one.
  void start(BlockRequest& read);
  [[nodiscard]] BlockQueue& lane() { return lane_; }
  // Runs the completions of all that is in flight.
  void drain() { lane_.drain(); }

  void on_ready(uint32_t /*events*/) override { due_ = true; }
  bool at_end_of_turn() override;

 private:
  http::Loop& loop_;
  BlockQueue& lane_;
  http::WorkerMetrics& metrics_;
  bool is_open_ = false;
  // Something was started, or the lane says that something is there. Else it is left alone: asking
  // without a reason is what it takes for a backend that rings for nothing.
  bool due_ = false;
};

}  // namespace splitring::kiosk
