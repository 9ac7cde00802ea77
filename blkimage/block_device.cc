#include "blkimage/block_device.h"

#include <poll.h>

#include <cassert>
#include <cstdlib>

namespace splitring {

const char* to_string(IoStatus status) {
  switch (status) {
    case IoStatus::kOk: return "ok";
    case IoStatus::kIoError: return "I/O error";
    case IoStatus::kNoSpace: return "no space left on the medium";
    case IoStatus::kUnsupported: return "not supported by this disk";
    case IoStatus::kOutOfRange: return "beyond the end of the disk";
    case IoStatus::kMisaligned: return "not a multiple of the disk's block size";
    case IoStatus::kReadOnly: return "the disk is read-only";
    case IoStatus::kPoisoned: return "refused after a failed flush; open the disk again";
    case IoStatus::kGone: return "the disk has gone";
  }
  return "unknown status";
}

Errc errc_from(IoStatus status) {
  switch (status) {
    case IoStatus::kOk:
    case IoStatus::kIoError:
    case IoStatus::kPoisoned: return Errc::kIo;
    case IoStatus::kNoSpace: return Errc::kNoSpace;
    case IoStatus::kUnsupported: return Errc::kUnsupported;
    case IoStatus::kOutOfRange:
    case IoStatus::kMisaligned: return Errc::kInvalid;
    case IoStatus::kReadOnly: return Errc::kPermission;
    case IoStatus::kGone: return Errc::kClosed;
  }
  return Errc::kIo;
}

const char* to_string(Operation operation) {
  switch (operation) {
    case Operation::kRead: return "read";
    case Operation::kWrite: return "write";
    case Operation::kFlush: return "flush";
    case Operation::kDiscard: return "discard";
    case Operation::kWriteZeroes: return "write-zeroes";
  }
  return "unknown operation";
}

IoBuffer::IoBuffer(IoBuffer&& other) noexcept
    : queue_(std::exchange(other.queue_, nullptr)), bytes_(std::exchange(other.bytes_, {})) {}

IoBuffer& IoBuffer::operator=(IoBuffer&& other) noexcept {
  if (this != &other) {
    reset();
    queue_ = std::exchange(other.queue_, nullptr);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

void IoBuffer::reset() noexcept {
  if (queue_ != nullptr) std::exchange(queue_, nullptr)->do_release(std::exchange(bytes_, {}));
}

namespace {

Geometry current(const DeviceState& state) {
  Geometry geometry = state.fixed;
  geometry.capacity = {state.capacity_sectors.load(std::memory_order_relaxed)};
  return geometry;
}

}  // namespace

Geometry BlockDevice::geometry() const { return current(state_); }
Geometry BlockQueue::geometry() const { return current(state_); }

IoStatus BlockQueue::check(BlockRequest& request) const noexcept {
  const Geometry& fixed = state_.fixed;
  if (changes_data(request.operation) && fixed.read_only) return IoStatus::kReadOnly;
  if (request.operation != Operation::kRead && state_.poisoned.load(std::memory_order_relaxed))
    return IoStatus::kPoisoned;
  Sectors length = request.length;
  request.byte_count = 0;
  switch (request.operation) {
    case Operation::kFlush: return IoStatus::kOk;
    case Operation::kRead:
    case Operation::kWrite:
      length = {};
      for (const iovec& buffer : request.buffers) {
        if (buffer.iov_len % kSectorSize != 0) return IoStatus::kMisaligned;
        length += Sectors::from_bytes(buffer.iov_len);
      }
      break;
    case Operation::kDiscard:
      if (fixed.discard_granularity_bytes == 0) return IoStatus::kUnsupported;
      break;
    case Operation::kWriteZeroes: break;
  }
  if (length.count == 0) return IoStatus::kMisaligned;
  const Sectors capacity{state_.capacity_sectors.load(std::memory_order_relaxed)};
  if (!in_range(request.first, length, capacity)) return IoStatus::kOutOfRange;
  const uint64_t sectors_per_block = fixed.logical_block_bytes / kSectorSize;
  if (((request.first.count | length.count) & (sectors_per_block - 1)) != 0)
    return IoStatus::kMisaligned;
  request.byte_count = length.bytes();
  return IoStatus::kOk;
}

void BlockQueue::submit(BlockRequest& request) noexcept {
  in_flight_++;
  request.status = check(request);
  if (request.status == IoStatus::kOk) [[likely]]
    do_submit(request);
  else
    rejected_.push(request);
}

void BlockQueue::poison_after(Operation operation, IoStatus status) noexcept {
  if (operation == Operation::kFlush && status != IoStatus::kOk &&
      status != IoStatus::kUnsupported && status != IoStatus::kPoisoned)
    state_.poisoned.store(true, std::memory_order_relaxed);
}

std::optional<IoStatus> BlockQueue::run_now(BlockRequest& request, bool durably) noexcept {
  if (in_flight_ != 0 || check(request) != IoStatus::kOk) return std::nullopt;
  request.scratch = {};
  const auto status = do_now(request, durably);
  // Of a write that had to be durable nobody knows whether its flush is what failed.
  if (status) poison_after(durably ? Operation::kFlush : request.operation, *status);
  return status;
}

void BlockQueue::finish(BlockRequest& request, IoStatus status) noexcept {
  // It may have ended well because another flush, of the same writes, was told of the failure.
  if (request.operation == Operation::kFlush && status == IoStatus::kOk &&
      state_.poisoned.load(std::memory_order_relaxed))
    status = IoStatus::kPoisoned;
  poison_after(request.operation, status);
  assert(in_flight_ > 0);
  in_flight_--;
  finished_++;
  request.status = status;
  if (request.complete != nullptr) request.complete(request);
}

size_t BlockQueue::poll() noexcept {
  const size_t before = finished_;
  do_poll();
  while (!rejected_.empty()) {
    BlockRequest& request = rejected_.pop();
    finish(request, request.status);
  }
  if (finished_ != before) do_kick();
  return finished_ - before;
}

size_t BlockQueue::wait() noexcept {
  kick();
  while (in_flight_ != 0) {
    size_t done = poll();
    if (done != 0) return done;
    if (spin_.spin([&] { return (done = poll()) != 0; })) return done;
    do_sleep();
  }
  return 0;
}

void BlockQueue::do_sleep() noexcept {
  if (!prepare_to_wait()) return;
  pollfd entry{fd(), POLLIN, 0};
  ::poll(&entry, 1, -1);
}

Result<IoBuffer> BlockQueue::allocate(size_t bytes) {
  return IoBuffer(*this, TRY(do_allocate(bytes)));
}

Result<std::span<std::byte>> BlockQueue::do_allocate(size_t bytes) {
  constexpr size_t kMaxBytes = 1U << 30;  // far beyond any request, and from overflow
  void* memory =
      bytes <= kMaxBytes ? std::aligned_alloc(kPageSize, round_up(bytes, kPageSize)) : nullptr;
  if (memory == nullptr) return fail(Errc::kLimit, "out of memory for an I/O buffer");
  return std::span(static_cast<std::byte*>(memory), bytes);
}

void BlockQueue::do_release(std::span<std::byte> bytes) noexcept { std::free(bytes.data()); }

}  // namespace splitring
