#include "kv/tree/ring_reader.h"

#include <algorithm>

namespace splitring::kv {

RingReader::RingReader(uint64_t first_page, uint64_t ring_bytes, uint64_t begin, BlockQueue& lane,
                       LargeMemory memory)
    : lane_(lane),
      memory_(std::move(memory)),
      first_byte_(first_page * kPageSize),
      ring_bytes_(ring_bytes),
      origin_(begin / kPageSize * kPageSize),
      limit_(origin_ + memory_.bytes().size()),
      asked_(origin_),
      there_(origin_) {}

Result<std::unique_ptr<RingReader>> RingReader::create(uint64_t first_page, uint64_t ring_bytes,
                                                       uint64_t begin, BlockQueue& lane) {
  // One page more: the last round may end within the page that it began in.
  LargeMemory memory = TRY(LargeMemory::reserve(ring_bytes + kPageSize));
  return std::unique_ptr<RingReader>(
      new RingReader(first_page, ring_bytes, begin, lane, std::move(memory)));
}

// Has as much on its way as may be.
void RingReader::ask() {
  size_t slot = oldest_;
  for (size_t i = 0; i < kChunks; i++, slot = (slot + 1) % kChunks) {
    Chunk& chunk = chunks_[slot];
    if (chunk.buffer.iov_len != 0) continue;
    const uint64_t room = ring_bytes_ - asked_ % ring_bytes_;
    const uint64_t length = std::min({kChunkBytes, room, limit_ - asked_});
    if (length == 0) break;
    chunk.operation = Operation::kRead;
    chunk.first = Sectors::from_bytes(first_byte_ + asked_ % ring_bytes_);
    chunk.buffer = {memory_.bytes().data() + (asked_ - origin_), length};
    chunk.buffers = std::span(&chunk.buffer, 1);
    chunk.complete = done;
    chunk.busy = true;
    asked_ += length;
    lane_.submit(chunk);
  }
  lane_.kick();
}

Result<> RingReader::await_oldest() {
  ask();
  Chunk& chunk = chunks_[oldest_];
  while (chunk.busy) lane_.wait();
  if (chunk.status != IoStatus::kOk)
    return fail(errc_from(chunk.status), "reading the ring at position " + std::to_string(there_) +
                                             ": " + to_string(chunk.status));
  there_ += chunk.buffer.iov_len;
  chunk.buffer = {};
  oldest_ = (oldest_ + 1) % kChunks;
  return {};
}

Result<std::span<std::byte>> RingReader::bytes(uint64_t position, uint64_t count) {
  if (count > ring_bytes_ - position % ring_bytes_ || position >= limit_ ||
      count > limit_ - position)
    return std::span<std::byte>();
  while (there_ < position + count) TRY_VOID(await_oldest());
  return memory_.bytes().subspan(position - origin_, count);
}

LargeMemory RingReader::take(uint64_t end) && {
  lane_.drain();
  memory_.shrink(end - origin_);
  return std::move(memory_);
}

}  // namespace splitring::kv
