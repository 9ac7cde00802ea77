// What the lanes of one raw image share: the descriptor and what is known about it; and the system
// calls on it that both kinds of lane make.
//
// Thread-safe: constant after opening, but for what the kernel turned out not to support.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "base/unique_fd.h"
#include "blkimage/block_device.h"

namespace splitring {

struct RawFile {
  UniqueFd fd;
  bool block_device = false;
  bool direct = false;     // O_DIRECT: past the page cache
  bool in_memory = false;  // tmpfs, ramfs: nothing on it ever waits for a medium
  bool read_only = false;
  uint32_t memory_align_bytes = 1;  // of each buffer's address, when `direct`
  uint32_t length_align_bytes = 1;  // of each buffer's length, when `direct`
  std::atomic<bool> can_zero_range{true};
};

IoStatus io_status_from_errno(int error_number) noexcept;

// The same file opened once more, for one lane's flushes and durable writes. Linux tells each open
// file once of a write-back that failed: of two flushes of one open file that run side by side, one
// is told, and the other would answer that all is well. No descriptor if the file is read-only.
Result<UniqueFd> open_for_flushes(const RawFile& file);

// How far a request has come. Lives in BlockRequest::scratch, which starts as zero: partial reads
// and writes, and operations done in slices, continue where they stopped.
class Progress {
 public:
  explicit Progress(BlockRequest& request) : request_(request) {}

  // What to ask the kernel for next: `count` buffers, at most IOV_MAX of them.
  struct Piece {
    iovec only;            // if count is 1
    const iovec* buffers;  // otherwise
    unsigned count;
    uint64_t byte_offset;  // in the image
  };
  // Precondition: a read or write that is not complete.
  [[nodiscard]] Piece next_piece() noexcept;
  // Precondition, of these three: no more than is left.
  void advance(uint64_t bytes) noexcept;
  // Copies the next bytes of the buffers out, or in, without advancing.
  void gather(std::span<std::byte> out) noexcept;
  void scatter(std::span<const std::byte> in) noexcept;

  [[nodiscard]] uint64_t done() const { return request_.scratch[0]; }
  [[nodiscard]] uint64_t left() const { return request_.byte_count - done(); }
  [[nodiscard]] uint64_t byte_offset() const { return request_.first.bytes() + done(); }

 private:
  void skip_finished_buffers() noexcept;
  uint64_t& buffer_index() { return request_.scratch[1]; }
  uint64_t& offset_in_buffer() { return request_.scratch[2]; }

  BlockRequest& request_;
};

// A range without data is handled in slices of at most this, so that no lane is blocked for long.
inline constexpr uint64_t kRangeSliceBytes = 32U << 20;

// What a write-zeroes falls back to: a list of buffers that are all zero, `bytes` long in sum (at
// most 1 MiB; the lesser is in the second member). Readable, aligned to a page, never written.
struct ZeroBuffers {
  std::span<const iovec> buffers;
  uint64_t bytes;
};
// Precondition: `bytes` is not zero and a multiple of 512.
ZeroBuffers zero_buffers(uint64_t bytes, iovec& last) noexcept;

// fallocate()'s mode for a discard or write-zeroes; nothing if zeroes have to be written instead.
std::optional<int> range_mode(const RawFile& file, Operation operation) noexcept;

// BLKDISCARD of the next slice; nothing means that there is more to do.
std::optional<IoStatus> discard_device_slice(const RawFile& file, BlockRequest& request) noexcept;

// One blocking step of any operation; nothing means that there is more to do. Reads and writes are
// done in one step; those that `file` cannot do directly go through `bounce`. `flush_fd`: of
// open_for_flushes().
std::optional<IoStatus> blocking_step(RawFile& file, int flush_fd, BlockRequest& request,
                                      std::span<std::byte> bounce) noexcept;

// True if direct I/O cannot use the request's buffers as they are.
bool needs_bounce(const RawFile& file, const BlockRequest& request) noexcept;
// Memory through which one piece of such a request goes at a time.
inline constexpr size_t kBounceBytes = 128U << 10;

// Reads or writes `fd` on until the request is complete or the kernel stops, with pread or pwrite
// and their vectored kind (`flags` as preadv2's). An error number, or 0: what is then left
// (Progress) tells whether it is complete; reading stops early only where the file ends.
int transfer_now(int fd, BlockRequest& request, int flags) noexcept;

}  // namespace splitring
