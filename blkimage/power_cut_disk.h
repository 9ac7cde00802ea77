// A disk in memory that remembers every change since it was made, so that a test can ask for what
// would be on it had the power failed at any moment: one run of a workload, as many crashes as
// wanted.
//
// What a real disk may do with writes that no flush has covered: keep them or lose them, each
// sector on its own (a torn write), in any order. What it must keep: every write that had completed
// when a flush was submitted, once that flush has completed. Exactly that line is drawn here, so a
// program that does not wait for its writes before it flushes is caught.
//
// Its history: any thread. Writes of different lanes are in the order in which they were done.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "blkimage/block_device.h"

namespace splitring {

class PowerCutDisk final : public BlockDevice {
 public:
  // A change of the disk's bytes (a write, write-zeroes or discard), or a completed flush.
  struct Event {
    bool is_flush = false;
    Sectors first;
    std::vector<std::byte> bytes;
    size_t covers = 0;  // of a flush: events before this index are durable
  };

  // `image` is its durable state at first. kInvalid: not whole blocks.
  static Result<std::unique_ptr<PowerCutDisk>> create(std::vector<std::byte> image,
                                                      uint32_t logical_block_bytes = kSectorSize);

  [[nodiscard]] std::string name() const override { return "power-cut disk in memory"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

  // A moment is a number of events: 0 is the start, events() is now.
  [[nodiscard]] size_t events() const;
  // Precondition: index < events().
  [[nodiscard]] Event event(size_t index) const;
  // Changes before `moment` that no flush completed before it covers: each may survive, or not.
  [[nodiscard]] std::vector<size_t> at_risk(size_t moment) const;

  // The disk after a cut at `moment`: what is durable, and of what was at risk ...
  // ... all, in order (the luckiest cut);
  [[nodiscard]] std::vector<std::byte> image_keeping_all(size_t moment) const;
  // ... exactly these, applied in the order given. Precondition: each is in at_risk(moment).
  [[nodiscard]] std::vector<std::byte> image_keeping(size_t moment,
                                                     std::span<const size_t> survivors) const;
  // ... each sector by the toss of a coin, in a random order.
  [[nodiscard]] std::vector<std::byte> image_torn(size_t moment, uint64_t seed) const;

 private:
  class Queue;

  PowerCutDisk(const Geometry& geometry, std::vector<std::byte> image)
      : BlockDevice(geometry), original_(image), current_(std::move(image)) {}

  [[nodiscard]] size_t durable_events(size_t moment) const;
  [[nodiscard]] std::vector<std::byte> durable_image(size_t moment) const;
  [[nodiscard]] std::vector<size_t> at_risk_locked(size_t moment) const;
  void record(Event event);

  mutable std::mutex mutex_;  // of all below
  const std::vector<std::byte> original_;
  std::vector<std::byte> current_;
  std::vector<Event> history_;
};

}  // namespace splitring
