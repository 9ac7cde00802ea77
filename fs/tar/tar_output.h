// Writes members to a disk behind an archive's last one, or where a new archive begins, so that a
// power cut at any moment leaves the archive as it was, or with all of the new members:
//
//  1. everything but the first two blocks, and the two zero blocks that end the archive; flush
//  2. the second block; flush      (an old reader sees one zero block: the archive still ends
//  there)
//  3. the first block; flush       (from here on the new members are there)
//
// Until step 3 a zero block stands where the archive ended. A block is written by one request and
// the disk is trusted to write 512 bytes of it whole or not at all, as disks are.
//
// Large writes, several in flight. One thread, the lane's. After an error nothing may follow.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/lane_memory.h"
#include "fs/tar/tar_header.h"

namespace splitring {

class TarOutput {
 public:
  // `begin` is a multiple of 512. The lane outlives the output.
  TarOutput(BlockQueue& lane, uint64_t begin);
  ~TarOutput();
  TarOutput(const TarOutput&) = delete;
  TarOutput& operator=(const TarOutput&) = delete;

  // First. A new archive (begin 0) makes the disk an empty one before anything else.
  Result<> start();
  Result<> put(std::span<const std::byte> bytes);
  Result<> put(std::string_view text) { return put(std::as_bytes(std::span(text))); }
  // Zeroes up to the next block.
  Result<> pad();
  // Ends the archive and makes the new members appear.
  Result<> finish();

  // Where the next byte goes.
  [[nodiscard]] uint64_t offset() const { return offset_; }
  // Where an archive ends whose last member ends at `offset`: two blocks and what fills up a record
  // of 10240 bytes, as tar programs have it. A disk need only have room for the two.
  [[nodiscard]] static uint64_t end_of_archive(uint64_t offset);

 private:
  static constexpr size_t kSlots = 4;
  static constexpr size_t kSlotBytes = size_t{256} << 10;
  static constexpr size_t kHeldBytes = 2 * kTarBlockBytes;

  struct Slot : BlockRequest {
    LaneMemory memory;
    iovec buffer{};
    bool flying = false;
  };

  Result<> begin_slot();
  Result<> send_slot();
  Result<> land(Slot& slot);
  Result<> write_held(size_t from);

  BlockQueue& lane_;
  const uint64_t begin_;
  const uint64_t block_bytes_;
  uint64_t offset_;
  std::array<std::byte, kHeldBytes> held_{};  // what belongs to begin_, until the end
  std::array<Slot, kSlots> slots_;
  size_t slot_ = 0;
  uint64_t slot_start_ = 0;  // on the disk, of the slot being filled
};

}  // namespace splitring
