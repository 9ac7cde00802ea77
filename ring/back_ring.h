// The backend's end of a ring: takes requests, puts responses.
//
// Private indices never live in the shared page, so a hostile frontend confuses only itself: what
// it writes to rsp_prod, rsp_event or req_event costs it a wake-up, no more (B6). Requests taken
// and not answered never exceed the slots, whatever it does (B13).
//
// One thread owns a ring. No allocation, no I/O: the owner rings the doorbell.
#pragma once

#include <cassert>
#include <cstdint>
#include <span>

#include "ring/blkif_wire.h"
#include "ring/ring_layout.h"
#include "ring/shared_memory.h"

namespace splitring {

enum class RingState : uint8_t {
  kReady,   // there is something to take
  kEmpty,   // nothing now
  kBroken,  // the peer's producer index is impossible; the ring must not be used any more
};

template <class Wire, class Memory = SharedMemory>
class BackRing {
 public:
  using Request = typename Wire::Request;
  using Response = typename Wire::Response;

  // Attaches to a ring that the frontend initialised, and writes nothing to it. Starts where the
  // shared response producer stands: 0 on a fresh ring, further on one that another backend
  // process served before and left with nothing taken.
  explicit BackRing(std::span<std::byte> pages)
      : BackRing(pages, Memory::load_index(pages.data() + Layout::kResponseProducer)) {}

  // Attaches at indices known from elsewhere than the shared page: where requests were taken up to
  // and answers put up to. Precondition: put up to `consumed` at most, and behind it by the slots
  // at most.
  BackRing(std::span<std::byte> pages, uint32_t consumed, uint32_t produced)
      : layout_(pages),
        consumed_(consumed),
        seen_(consumed),
        produced_(produced),
        published_(produced) {
    assert(unanswered() <= slots());
  }
  BackRing(std::span<std::byte> pages, uint32_t first) : BackRing(pages, first, first) {}

  // Looks at the request producer once. kBroken for more requests than there are free slots, which
  // includes an index that went backwards (B1, B2).
  RingState look() {
    const uint32_t producer = Memory::load_index(layout_.header(Layout::kRequestProducer));
    if (producer - consumed_ > layout_.slots() - unanswered()) return RingState::kBroken;
    if (producer - consumed_ < available()) return RingState::kBroken;
    seen_ = producer;
    return consumed_ == seen_ ? RingState::kEmpty : RingState::kReady;
  }

  // Requests seen by the last look() and not yet taken.
  [[nodiscard]] uint32_t available() const { return seen_ - consumed_; }

  // Copies the whole slot out: a frontend may have written a shorter request into it.
  // Precondition: available() != 0.
  void take(Request& out) {
    assert(available() != 0);
    Memory::template load<typename Wire::Word>(&out, layout_.slot(consumed_), sizeof out);
    consumed_++;
  }

  // Stages a response; the peer sees it after publish(). Every byte is written, padding as zero
  // (XSA-216). Precondition: unanswered() != 0.
  void put(uint64_t id, uint8_t operation, blkif::Status status) {
    assert(unanswered() != 0);
    Response response{};
    response.id = id;
    response.operation = operation;
    response.status = static_cast<int16_t>(status);
    Memory::template store<typename Wire::Word>(layout_.slot(produced_), &response,
                                                sizeof response);
    produced_++;
  }

  // Makes the staged responses visible. True: notify the peer.
  [[nodiscard]] bool publish() {
    const uint32_t old = published_;
    if (produced_ == old) return false;
    Memory::store_index(layout_.header(Layout::kResponseProducer), produced_);
    published_ = produced_;
    Memory::full_barrier();
    return passes_event(old, produced_, Memory::load_index(layout_.header(Layout::kResponseEvent)));
  }

  // For a ring that another process put answers into and may not have published: makes them
  // visible. The owner rings the doorbell in any case.
  void publish_again() {
    Memory::store_index(layout_.header(Layout::kResponseProducer), published_);
    Memory::full_barrier();
  }

  // Before sleeping: asks to be woken by the next request, then looks again. kEmpty: sleep now.
  RingState rearm() {
    Memory::store_index(layout_.header(Layout::kRequestEvent), consumed_ + 1);
    Memory::full_barrier();
    return look();
  }

  // Requests taken and not yet answered by put().
  [[nodiscard]] uint32_t unanswered() const { return consumed_ - produced_; }
  [[nodiscard]] uint32_t slots() const { return layout_.slots(); }
  [[nodiscard]] uint32_t consumed_index() const { return consumed_; }
  [[nodiscard]] uint32_t produced_index() const { return produced_; }

 private:
  using Layout = RingLayout<Wire>;

  Layout layout_;
  // produced_ <= consumed_ <= seen_ <= produced_ + slots, all modulo 2^32.
  uint32_t consumed_;   // requests taken
  uint32_t seen_;       // the request producer as last looked at
  uint32_t produced_;   // responses staged
  uint32_t published_;  // responses visible to the peer
};

}  // namespace splitring
