// The frontend's end of a ring: pushes requests, takes responses.
//
// Nothing that was written to the shared pages is ever read back (F9): the owner keeps its own
// table of what is in flight and looks responses up in it. One thread owns a ring. No allocation,
// no I/O.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstring>
#include <span>

#include "ring/back_ring.h"
#include "ring/blkif_wire.h"
#include "ring/ring_layout.h"
#include "ring/shared_memory.h"

namespace splitring {

template <class Wire, class Memory = SharedMemory>
class FrontRing {
 public:
  using Request = typename Wire::Request;
  using Response = typename Wire::Response;

  // Initialises fresh pages; do it before the backend is told about them. `first` is where both
  // counters start: 0 for a backend that attaches by reading the shared response producer.
  explicit FrontRing(std::span<std::byte> pages, uint32_t first = 0)
      : layout_(pages), produced_(first), published_(first), consumed_(first), seen_(first) {
    std::memset(pages.data(), 0, pages.size());
    Memory::store_index(layout_.header(Layout::kRequestProducer), first);
    Memory::store_index(layout_.header(Layout::kResponseProducer), first);
    Memory::store_index(layout_.header(Layout::kRequestEvent), first + 1);
    Memory::store_index(layout_.header(Layout::kResponseEvent), first + 1);
  }

  // Slots that neither a request nor an untaken response holds.
  [[nodiscard]] uint32_t free_slots() const { return layout_.slots() - (produced_ - consumed_); }

  // Stage one request; the peer sees it after publish(). Precondition: free_slots() != 0.
  // Of a Request only the segments in use are written.
  void push(const Request& request, size_t segment_count) {
    assert(segment_count <= blkif::kMaxSegments);
    store(&request, offsetof(Request, segments) + segment_count * blkif::kSegmentBytes);
  }
  void push(const typename Wire::Discard& request) { store(&request, sizeof request); }
  void push(const typename Wire::Indirect& request) { store(&request, sizeof request); }

  // Makes the staged requests visible. True: notify the peer.
  [[nodiscard]] bool publish() {
    const uint32_t old = published_;
    if (produced_ == old) return false;
    Memory::store_index(layout_.header(Layout::kRequestProducer), produced_);
    published_ = produced_;
    Memory::full_barrier();
    return passes_event(old, produced_, Memory::load_index(layout_.header(Layout::kRequestEvent)));
  }

  // Looks at the response producer once. kBroken for more responses than there are unanswered
  // requests, which includes an index that went backwards (F1, F2).
  RingState look() {
    const uint32_t producer = Memory::load_index(layout_.header(Layout::kResponseProducer));
    if (producer - consumed_ > published_ - consumed_) return RingState::kBroken;
    if (producer - consumed_ < seen_ - consumed_) return RingState::kBroken;
    seen_ = producer;
    return consumed_ == seen_ ? RingState::kEmpty : RingState::kReady;
  }

  // Responses seen by the last look() and not yet taken.
  [[nodiscard]] uint32_t available() const { return seen_ - consumed_; }

  // Copies a response out. Precondition: available() != 0.
  void take(Response& out) {
    assert(available() != 0);
    Memory::template load<typename Wire::Word>(&out, layout_.slot(consumed_), sizeof out);
    consumed_++;
  }

  // Before sleeping: asks to be woken by the next response, then looks again. kEmpty: sleep now.
  RingState rearm() {
    Memory::store_index(layout_.header(Layout::kResponseEvent), consumed_ + 1);
    Memory::full_barrier();
    return look();
  }

  [[nodiscard]] uint32_t slots() const { return layout_.slots(); }

 private:
  using Layout = RingLayout<Wire>;

  void store(const void* request, size_t bytes) {
    assert(free_slots() != 0);
    Memory::template store<typename Wire::Word>(layout_.slot(produced_), request, bytes);
    produced_++;
  }

  Layout layout_;
  // consumed_ <= seen_ <= published_ <= produced_ <= consumed_ + slots, all modulo 2^32.
  uint32_t produced_;   // requests staged
  uint32_t published_;  // requests visible to the peer
  uint32_t consumed_;   // responses taken
  uint32_t seen_;       // the response producer as last looked at
};

}  // namespace splitring
