// A disk of anonymous memory: empty (zeroes) at first, gone with its last owner. Pages take memory
// only once they are written.
#pragma once

#include <memory>
#include <string>

#include "blkimage/block_device.h"

namespace splitring {

struct MemoryOptions {
  uint32_t logical_block_bytes = kSectorSize;  // 512 or 4096
};

class MemoryDisk final : public BlockDevice {
 public:
  // kInvalid: a size of zero or not a multiple of the block size. kLimit: no such address range.
  static Result<std::unique_ptr<MemoryDisk>> create(Sectors capacity,
                                                    const MemoryOptions& options = {});
  ~MemoryDisk() override;

  [[nodiscard]] std::string name() const override;
  Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) override;

 private:
  MemoryDisk(const Geometry& geometry, std::span<std::byte> bytes)
      : BlockDevice(geometry), bytes_(bytes) {}

  std::span<std::byte> bytes_;
};

}  // namespace splitring
