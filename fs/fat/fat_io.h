// Bytes to a lane, at any offset: many writes as one batch with many requests in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring {

// Pieces that do not overlap. Their memory is the caller's until run() has returned.
class FatWriteBatch {
 public:
  void add(uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  // Blocks until all are done; joins pieces that touch. What lies beside a piece in a block is read
  // first and written again. The batch is empty afterwards. Errors: the disk's; some may be done.
  Result<> run(BlockQueue& lane);

 private:
  struct Piece {
    uint64_t offset = 0;
    std::span<const std::byte> bytes;
    [[nodiscard]] uint64_t end() const { return offset + bytes.size(); }
  };
  struct Run;  // pieces that lie in the same or neighbouring blocks

  static Result<> fill_gaps(BlockQueue& lane, Run& run, uint64_t block);

  std::vector<Piece> pieces_;
};

// Any offset and length, blocking.
Result<> write_disk_bytes(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes);
// Precondition: a range of whole sectors of 512 bytes.
Result<> zero_disk_bytes(BlockQueue& lane, uint64_t offset, uint64_t bytes);

}  // namespace splitring
