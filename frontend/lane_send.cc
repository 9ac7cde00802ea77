// Requests into the ring: cut, described by segments, and pushed.
#include <algorithm>
#include <cstring>

#include "frontend/lane.h"

namespace splitring::frontend {
namespace {

// While other requests hold pages of the pool, a part smaller than this waits for them instead of
// cutting a large request to pieces.
constexpr uint32_t kFewSegments = 32;

// A backend that maps each segment for itself (xen-blkback) maps the page of zeroes as often as
// segments name it, and Xen lets a grant be mapped 128 times (xen/common/grant_table.c: the
// counters of pins have 8 bits, and the highest is a warning).
constexpr uint32_t kMaxZeroPageUses = 128;

uint8_t wire_operation(Operation operation) {
  return operation == Operation::kRead ? blkif::kOpRead : blkif::kOpWrite;
}

}  // namespace

void Lane::do_kick() noexcept {
  // After a change of the link the next poll() sends.
  if (phase_ != LinkPhase::kConnected || slot_.changes() != seen_changes_) return;
  while (!waiting_.empty() && send(*waiting_.front())) {
    BlockRequest& request = waiting_.pop();
    Progress progress(request);
    progress.mark_all_sent();
    if (progress.outstanding() == 0) ready_.push(request);
  }
  if (connection_->ring.publish()) {
    counters_.notifications.add();
    // A channel whose other end has gone is no error; what else could fail shows as a backend that
    // does not answer, and the store tells about that.
    (void)connection_->channel->notify();
  }
  counters_.outstanding.set(in_flight_.count());
}

bool Lane::send(BlockRequest& request) noexcept {
  switch (request.operation) {
    case Operation::kFlush: return send_flush(request);
    case Operation::kDiscard: return send_discard(request);
    case Operation::kRead:
    case Operation::kWrite:
    case Operation::kWriteZeroes: return send_data(request);
  }
  return true;
}

// A part that failed already decides: the rest need not be tried.
bool Lane::send_data(BlockRequest& request) noexcept {
  const Progress progress(request);
  while (progress.unsent_bytes() != 0 && progress.status() == IoStatus::kOk)
    if (!send_part(request)) return false;
  return true;
}

RingRequest& Lane::take_entry(BlockRequest& request, uint8_t operation) noexcept {
  RingRequest& entry = in_flight_.take(request);
  entry.operation = operation;
  entry.descriptor = kNoPage;
  entry.first_bounce = kNoPage;
  entry.zero_pages = 0;
  Progress(request).one_more_outstanding();
  counters_.ring_requests.add();
  return entry;
}

bool Lane::send_flush(BlockRequest& request) noexcept {
  const auto operation = connection_->limits.flush_operation;
  if (!operation) return true;  // what was answered is durable already
  if (connection_->ring.free_slots() == 0) return false;
  const RingRequest& entry = take_entry(request, *operation);
  NativeWire::Request wire{};
  wire.operation = *operation;
  wire.handle = connection_->limits.handle;
  wire.id = in_flight_.id(entry);
  connection_->ring.push(wire, 0);
  return true;
}

bool Lane::send_discard(BlockRequest& request) noexcept {
  if (!connection_->limits.discard) {
    Progress(request).note(IoStatus::kUnsupported);
    return true;
  }
  if (connection_->ring.free_slots() == 0) return false;
  const RingRequest& entry = take_entry(request, blkif::kOpDiscard);
  NativeWire::Discard wire{};
  wire.operation = blkif::kOpDiscard;
  wire.handle = connection_->limits.handle;
  wire.id = in_flight_.id(entry);
  wire.sector = request.first.count;
  wire.sector_count = request.length.count;
  connection_->ring.push(wire);
  return true;
}

// By reference where the bytes lie in the pool, aligned to blocks; else a page that takes what
// follows, across buffers. Depends on nothing but its arguments and what is fixed for the lane's
// life: scatter() retraces it.
Lane::Piece Lane::next_piece(const BufferCursor& cursor, uint64_t left) const noexcept {
  if (!always_bounce_) {
    if (const auto place = pool_.find(cursor.address())) {
      const auto count = static_cast<uint32_t>(
          std::min<uint64_t>({kPageSize - place->byte_offset, cursor.left_in_buffer(), left}));
      if ((place->byte_offset & block_mask_) == 0 && (count & ~block_mask_) != 0)
        return {place->page, place->byte_offset, count & ~block_mask_};
    }
  }
  return {kNoPage, 0, static_cast<uint32_t>(std::min<uint64_t>(kPageSize, left))};
}

void Lane::add_segment(Draft& draft, uint32_t page, uint32_t byte_offset,
                       uint32_t byte_count) noexcept {
  segments_[draft.segment_count++] = {
      pool_.ref(page), static_cast<uint8_t>(byte_offset / kSectorSize),
      static_cast<uint8_t>((byte_offset + byte_count) / kSectorSize - 1), 0};
  draft.byte_count += byte_count;
}

void Lane::bounce(const BlockRequest& request, BufferCursor& cursor, uint32_t byte_count,
                  Draft& draft) noexcept {
  const uint32_t page = pool_.take_page();
  pool_.next(page) = kNoPage;
  (draft.first_bounce == kNoPage ? draft.first_bounce : pool_.next(draft.last_bounce)) = page;
  draft.last_bounce = page;
  if (request.operation == Operation::kWrite) {
    cursor.copy_to(pool_.address(page), byte_count);
  } else {
    // A page of the pool may hold what this process wrote to or read from this disk before; a
    // backend that is not trusted does not even get to answer a read with that (F10).
    if (always_bounce_) std::memset(pool_.address(page), 0, byte_count);
    cursor.skip(byte_count);
  }
  counters_.bounced_bytes.add(byte_count);
  add_segment(draft, page, 0, byte_count);
}

Lane::Draft Lane::draft_data(const BlockRequest& request, BufferCursor& cursor, uint64_t left,
                             uint32_t max_segments) noexcept {
  Draft draft;
  while (draft.byte_count != left && draft.segment_count != max_segments) {
    const Piece piece = next_piece(cursor, left - draft.byte_count);
    if (piece.page != kNoPage) {
      add_segment(draft, piece.page, piece.byte_offset, piece.byte_count);
      cursor.skip(piece.byte_count);
    } else if (pool_.free_pages() != 0) {
      bounce(request, cursor, piece.byte_count, draft);
    } else {
      break;
    }
  }
  return draft;
}

Lane::Draft Lane::draft_zeroes(uint64_t left, uint32_t max_segments) noexcept {
  Draft draft;
  const uint32_t most = std::min(max_segments, kMaxZeroPageUses - zero_page_uses_);
  while (draft.byte_count != left && draft.segment_count != most)
    add_segment(draft, pool_.zero_page(), 0,
                static_cast<uint32_t>(std::min<uint64_t>(kPageSize, left - draft.byte_count)));
  return draft;
}

// Puts one more ring request of a read, write or write-zeroes in the ring. False: not now.
bool Lane::send_part(BlockRequest& request) noexcept {
  if (connection_->ring.free_slots() == 0) return false;
  Progress progress(request);
  const uint64_t left = progress.unsent_bytes();
  const auto direct = static_cast<uint32_t>(blkif::kMaxSegments);
  const uint32_t max_segments = pool_.has_descriptor() ? connection_->limits.max_segments : direct;
  const bool zeroes = request.operation == Operation::kWriteZeroes;
  const BufferCursor start = zeroes ? BufferCursor({}, 0, 0) : progress.cursor();
  BufferCursor cursor = start;
  const Draft draft =
      zeroes ? draft_zeroes(left, max_segments) : draft_data(request, cursor, left, max_segments);
  const bool cut_short = draft.byte_count != left && draft.segment_count != max_segments;
  if (draft.segment_count == 0 ||
      (cut_short && draft.segment_count < kFewSegments && in_flight_.count() != 0)) {
    give_bounce_pages(draft.first_bounce);
    return false;
  }
  RingRequest& entry = take_entry(request, wire_operation(request.operation));
  entry.first_bounce = draft.first_bounce;
  entry.byte_count = draft.byte_count;
  if (zeroes) zero_page_uses_ += entry.zero_pages = draft.segment_count;
  entry.buffer_index = static_cast<uint32_t>(start.index());
  entry.buffer_offset = start.offset();
  push(request, entry, draft);
  progress.sent(draft.byte_count, cursor);
  return true;
}

void Lane::push(BlockRequest& request, RingRequest& entry, const Draft& draft) noexcept {
  const uint64_t sector = request.first.count + Progress(request).sent_bytes() / kSectorSize;
  if (draft.segment_count <= blkif::kMaxSegments) {
    NativeWire::Request wire{};
    wire.operation = entry.operation;
    wire.segment_count = static_cast<uint8_t>(draft.segment_count);
    wire.handle = connection_->limits.handle;
    wire.id = in_flight_.id(entry);
    wire.sector = sector;
    std::copy_n(segments_.begin(), draft.segment_count, wire.segments.begin());
    connection_->ring.push(wire, draft.segment_count);
    return;
  }
  entry.descriptor = pool_.take_descriptor();
  std::memcpy(pool_.address(entry.descriptor), segments_.data(),
              draft.segment_count * sizeof(blkif::Segment));
  NativeWire::Indirect wire{};
  wire.operation = blkif::kOpIndirect;
  wire.inner_operation = entry.operation;
  wire.segment_count = static_cast<uint16_t>(draft.segment_count);
  wire.id = in_flight_.id(entry);
  wire.sector = sector;
  wire.handle = connection_->limits.handle;
  wire.page_refs[0] = pool_.ref(entry.descriptor);
  connection_->ring.push(wire);
  counters_.indirect_requests.add();
}

}  // namespace splitring::frontend
