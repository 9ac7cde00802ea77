// The blocking side of a lane: one call, many requests in flight.
#include <algorithm>
#include <array>

#include "blkimage/block_device.h"

namespace splitring {
namespace {

constexpr size_t kInFlightPerCall = 16;

struct Tracker {
  size_t outstanding = 0;
  IoStatus first_failure = IoStatus::kOk;
};

struct Chunk : BlockRequest {
  Tracker* tracker = nullptr;
  iovec buffer{};
  bool busy = false;
};

void chunk_done(BlockRequest& request) noexcept {
  auto& chunk = static_cast<Chunk&>(request);
  chunk.busy = false;
  chunk.tracker->outstanding--;
  if (chunk.status != IoStatus::kOk && chunk.tracker->first_failure == IoStatus::kOk)
    chunk.tracker->first_failure = chunk.status;
}

std::string describe(Operation operation, Sectors first, uint64_t bytes, IoStatus status) {
  std::string text = to_string(operation);
  if (operation != Operation::kFlush)
    text += " of " + std::to_string(bytes) + " bytes at sector " + std::to_string(first.count);
  return text + ": " + to_string(status);
}

}  // namespace

// `bytes` for a read or write, `length` for the others.
Result<> BlockQueue::run(Operation operation, Sectors first, std::span<std::byte> bytes,
                         Sectors length) {
  const bool moves_data = operation == Operation::kRead || operation == Operation::kWrite;
  const uint64_t total = moves_data ? bytes.size() : length.bytes();
  const auto failed = [&](IoStatus status) {
    return fail(errc_from(status), describe(operation, first, total, status));
  };
  if (moves_data && total % kSectorSize != 0) return failed(IoStatus::kMisaligned);
  const Geometry disk = geometry();
  // Checked as a whole first, so that a bad range changes nothing.
  if (operation != Operation::kFlush && !in_range(first, Sectors::from_bytes(total), disk.capacity))
    return failed(IoStatus::kOutOfRange);
  if (operation != Operation::kFlush && total == 0) return {};

  std::array<Chunk, kInFlightPerCall> chunks;
  Tracker tracker;
  // Data is cut so that a lane can overlap the pieces; a range without data only at what fits a
  // 32-bit byte count everywhere.
  const uint64_t chunk_bytes =
      moves_data ? std::max<uint64_t>(disk.largest_request_bytes, disk.logical_block_bytes)
                 : uint64_t{1} << 30;
  uint64_t offset = 0;
  bool more = true;
  while (more && tracker.first_failure == IoStatus::kOk) {
    const auto free = std::find_if(chunks.begin(), chunks.end(), [](auto& c) { return !c.busy; });
    if (free == chunks.end()) {
      wait();
      continue;
    }
    const uint64_t part = std::min(chunk_bytes, total - offset);
    free->operation = operation;
    free->first = first + Sectors::from_bytes(offset);
    free->length = Sectors::from_bytes(part);
    if (moves_data) {
      free->buffer = {bytes.data() + offset, part};
      free->buffers = std::span(&free->buffer, 1);
    }
    free->complete = chunk_done;
    free->tracker = &tracker;
    free->busy = true;
    tracker.outstanding++;
    submit(*free);
    offset += part;
    more = offset < total;
  }
  while (tracker.outstanding != 0) wait();
  if (tracker.first_failure != IoStatus::kOk) return failed(tracker.first_failure);
  return {};
}

Result<> BlockQueue::read(Sectors first, std::span<std::byte> out) {
  return run(Operation::kRead, first, out, {});
}

Result<> BlockQueue::write(Sectors first, std::span<const std::byte> in) {
  // iovec has no const; a write does not change its buffers.
  return run(Operation::kWrite, first, {const_cast<std::byte*>(in.data()), in.size()}, {});
}

Result<> BlockQueue::flush() {
  BlockRequest request;
  request.operation = Operation::kFlush;
  const auto status = run_now(request, false);
  if (!status) return run(Operation::kFlush, {}, {}, {});
  if (*status == IoStatus::kOk) return {};
  return fail(errc_from(*status), describe(Operation::kFlush, {}, 0, *status));
}

Result<> BlockQueue::write_durably(Sectors first, std::span<const std::byte> in) {
  const iovec buffer{const_cast<std::byte*>(in.data()), in.size()};
  BlockRequest request;
  request.operation = Operation::kWrite;
  request.first = first;
  request.buffers = std::span(&buffer, 1);
  if (const auto status = run_now(request, true)) {
    if (*status == IoStatus::kOk) return {};
    return fail(errc_from(*status), describe(Operation::kWrite, first, in.size(), *status));
  }
  if (Result<> written = write(first, in); !written) return written;
  return flush();
}

Result<> BlockQueue::discard(Sectors first, Sectors length) {
  return run(Operation::kDiscard, first, {}, length);
}

Result<> BlockQueue::write_zeroes(Sectors first, Sectors length) {
  return run(Operation::kWriteZeroes, first, {}, length);
}

}  // namespace splitring
