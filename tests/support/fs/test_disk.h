// A disk in memory for tests of what reads disks: it counts what is read, completes late and in
// reverse order, and fails where it is told to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "blkimage/block_device.h"

namespace splitring::test {

class TestDisk final : public BlockDevice {
 public:
  struct Faults {
    uint64_t failing_sector = UINT64_MAX;  // a read that covers it fails
    bool no_pool = false;                  // lanes lend no buffers
    size_t no_lanes_after = SIZE_MAX;      // so many can be opened, one after the other
  };
  struct Counts {
    uint64_t reads = 0;
    uint64_t bytes = 0;
    size_t most_in_flight = 0;
  };

  // Padded with zeroes to whole blocks.
  explicit TestDisk(std::string content, uint32_t block_bytes = kSectorSize);
  TestDisk(std::string content, uint32_t block_bytes, const Faults& faults);

  [[nodiscard]] std::string name() const override { return "test disk"; }
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  friend class TestLane;
  std::string content_;
  Faults faults_;
  Counts counts_;
  size_t lanes_opened_ = 0;
};

}  // namespace splitring::test
