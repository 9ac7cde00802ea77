#include "backend/data_pages.h"

#include <cassert>
#include <cstdlib>
#include <new>

#include "ring/shared_memory.h"

namespace splitring::backend {

using blkif::CheckedSegment;

DataPages::DataPages(GrantTable& table, const Options& options, RingCounters& counters)
    : table_(table),
      options_(options),
      counters_(counters),
      segments_(std::make_unique_for_overwrite<CheckedSegment[]>(size_t{options.slots} *
                                                                 options.max_segments)),
      buffers_(
          std::make_unique_for_overwrite<iovec[]>(size_t{options.slots} * options.max_segments)),
      holds_(
          std::make_unique_for_overwrite<uint16_t[]>(size_t{options.slots} * options.max_segments)),
      mapped_pages_left_(options.mapped_pages),
      refs_(options.max_segments),
      pages_(options.max_segments),
      places_(options.max_segments),
      pieces_(options.max_segments),
      indirect_(options.max_segments) {
  assert(options.max_segments >= blkif::kMaxSegments);
  assert(options.mapped_pages >= options.max_segments);
  if (options.persistent_pages != 0)
    persistent_.emplace(table, options.peer, options.persistent_pages, counters);
  if (options.copy_pages != 0) {
    copy_memory_.reset(static_cast<std::byte*>(
        std::aligned_alloc(kPageSize, size_t{options.copy_pages} * kPageSize)));
    if (!copy_memory_) throw std::bad_alloc();
    for (uint32_t page = options.copy_pages; page-- != 0;)
      free_copy_pages_.push_back(static_cast<uint16_t>(page));
  }
}

std::span<CheckedSegment> DataPages::segments(uint32_t slot) {
  assert(slot < options_.slots);
  return {segments_.get() + size_t{slot} * options_.max_segments, options_.max_segments};
}

Acquisition DataPages::acquire(uint32_t slot, uint16_t count, bool to_peer, DataHold& hold,
                               std::span<const iovec>& buffers) {
  assert(count != 0 && count <= options_.max_segments && hold.way == DataWay::kNone);
  const std::span<const CheckedSegment> wanted = segments(slot).first(count);
  for (size_t i = 0; i < count; i++) refs_[i] = GrantRef{wanted[i].ref};
  if (persistent_ && acquire_persistent(wanted, slot)) {
    hold.way = DataWay::kPersistent;
  } else if (!persistent_ && acquire_copied(wanted, slot, to_peer)) {
    hold.way = DataWay::kCopied;
  } else {
    const Acquisition mapped = acquire_mapped(wanted, to_peer, hold);
    if (mapped != Acquisition::kDone) return mapped;
    hold.way = DataWay::kMapped;
  }
  hold.segments = count;
  hold.to_peer = to_peer;
  buffers = merge_buffers(slot, count);
  return Acquisition::kDone;
}

// Each of these leaves in places_ where the page of each segment starts.

bool DataPages::acquire_persistent(std::span<const CheckedSegment> wanted, uint32_t slot) {
  const auto pages = std::span(pages_).first(wanted.size());
  if (!persistent_->acquire(std::span(refs_).first(wanted.size()), pages)) return false;
  uint16_t* holds = holds_.get() + size_t{slot} * options_.max_segments;
  for (size_t i = 0; i < pages.size(); i++) {
    places_[i] = pages[i].bytes;
    holds[i] = pages[i].chunk;
  }
  return true;
}

bool DataPages::acquire_copied(std::span<const CheckedSegment> wanted, uint32_t slot,
                               bool to_peer) {
  if (wanted.size() > free_copy_pages_.size()) return false;
  uint16_t* holds = holds_.get() + size_t{slot} * options_.max_segments;
  for (size_t i = 0; i < wanted.size(); i++) {
    holds[i] = free_copy_pages_.back();
    free_copy_pages_.pop_back();
    places_[i] = copy_memory_.get() + size_t{holds[i]} * kPageSize;
    pieces_[i] = {GrantCopy::Direction::kFromPeer, refs_[i], wanted[i].byte_offset,
                  wanted[i].byte_count, places_[i] + wanted[i].byte_offset};
  }
  if (to_peer || copy(std::span(pieces_).first(wanted.size()))) return true;
  free_copy_pages(slot, static_cast<uint16_t>(wanted.size()));
  return false;
}

Acquisition DataPages::acquire_mapped(std::span<const CheckedSegment> wanted, bool to_peer,
                                      DataHold& hold) {
  if (wanted.size() > mapped_pages_left_) return Acquisition::kNoPages;
  auto mapping = table_.map(options_.peer, std::span(refs_).first(wanted.size()),
                            to_peer ? Access::kReadWrite : Access::kReadOnly);
  if (!mapping) return Acquisition::kBadGrant;
  hold.mapping = std::move(*mapping);
  mapped_pages_left_ -= static_cast<uint32_t>(wanted.size());
  for (size_t i = 0; i < wanted.size(); i++)
    places_[i] = hold.mapping.bytes().data() + i * kPageSize;
  counters_.mapped_pages.add(wanted.size());
  return Acquisition::kDone;
}

// Neighbours in our address space become one buffer. That is safe whatever the machine's pages are:
// it is we who mapped them side by side (XSA-229 merged by frame number).
std::span<const iovec> DataPages::merge_buffers(uint32_t slot, uint16_t count) {
  const size_t base = size_t{slot} * options_.max_segments;
  iovec* buffers = buffers_.get() + base;
  const CheckedSegment* wanted = segments_.get() + base;
  size_t used = 0;
  const std::byte* end = nullptr;
  for (size_t i = 0; i < count; i++) {
    std::byte* start = places_[i] + wanted[i].byte_offset;
    if (start == end)
      buffers[used - 1].iov_len += wanted[i].byte_count;
    else
      buffers[used++] = {start, wanted[i].byte_count};
    end = start + wanted[i].byte_count;
  }
  return {buffers, used};
}

bool DataPages::finish(uint32_t slot, DataHold& hold, bool succeeded) {
  const size_t base = size_t{slot} * options_.max_segments;
  bool good = true;
  switch (hold.way) {
    case DataWay::kNone: return true;
    case DataWay::kPersistent:
      for (size_t i = 0; i < hold.segments; i++) persistent_->release(holds_[base + i]);
      break;
    case DataWay::kMapped:
      hold.mapping.reset();
      mapped_pages_left_ += hold.segments;
      break;
    case DataWay::kCopied:
      if (hold.to_peer && succeeded) {
        for (size_t i = 0; i < hold.segments; i++) {
          const CheckedSegment& segment = segments_[base + i];
          pieces_[i] = {
              GrantCopy::Direction::kToPeer, GrantRef{segment.ref}, segment.byte_offset,
              segment.byte_count,
              copy_memory_.get() + size_t{holds_[base + i]} * kPageSize + segment.byte_offset};
        }
        good = copy(std::span(pieces_).first(hold.segments));
      }
      free_copy_pages(slot, hold.segments);
      break;
  }
  hold.way = DataWay::kNone;
  return good;
}

bool DataPages::copy(std::span<GrantCopy> pieces) {
  if (!table_.copy(options_.peer, pieces)) return false;
  counters_.copied_pages.add(pieces.size());
  for (const GrantCopy& piece : pieces)
    if (piece.status != GrantCopy::Status::kOk) return false;
  return true;
}

void DataPages::free_copy_pages(uint32_t slot, uint16_t count) {
  const uint16_t* holds = holds_.get() + size_t{slot} * options_.max_segments;
  for (size_t i = count; i-- != 0;) free_copy_pages_.push_back(holds[i]);
}

std::span<const blkif::Segment> DataPages::load_indirect(std::span<const uint32_t> page_refs,
                                                         uint16_t count) {
  assert(count <= options_.max_segments && page_refs.size() <= blkif::kMaxIndirectPages);
  const auto bytes_of = [&](size_t page) {
    const size_t left = count - page * blkif::kSegmentsPerIndirectPage;
    return std::min(left, blkif::kSegmentsPerIndirectPage) * blkif::kSegmentBytes;
  };
  auto* out = reinterpret_cast<std::byte*>(indirect_.data());
  for (size_t i = 0; i < page_refs.size(); i++) refs_[i] = GrantRef{page_refs[i]};
  const auto refs = std::span(refs_).first(page_refs.size());
  const auto pages = std::span(pages_).first(page_refs.size());
  if (persistent_ && persistent_->acquire(refs, pages)) {
    for (size_t i = 0; i < pages.size(); i++) {
      SharedMemory::load<uint64_t>(out + i * kPageSize, pages[i].bytes, bytes_of(i));
      persistent_->release(pages[i].chunk);
    }
  } else {
    for (size_t i = 0; i < refs.size(); i++)
      pieces_[i] = {GrantCopy::Direction::kFromPeer, refs[i], 0, static_cast<uint16_t>(bytes_of(i)),
                    out + i * kPageSize};
    if (!copy(std::span(pieces_).first(refs.size()))) return {};
  }
  return {indirect_.data(), count};
}

}  // namespace splitring::backend
