// How far a BlockRequest has come, kept in its scratch: it may need several ring requests.
#pragma once

#include <cstdint>

#include "blkimage/block_device.h"
#include "frontend/buffer_cursor.h"

namespace splitring::frontend {

class Progress {
 public:
  explicit Progress(BlockRequest& request) : request_(request) {}

  void reset() { request_.scratch = {}; }

  // ---- what has been put in the ring ---------------------------------------------------------
  [[nodiscard]] uint64_t sent_bytes() const { return request_.scratch[0]; }
  [[nodiscard]] uint64_t unsent_bytes() const { return request_.byte_count - sent_bytes(); }
  [[nodiscard]] BufferCursor cursor() const {
    return {request_.buffers, request_.scratch[1], request_.scratch[2]};
  }
  void sent(uint64_t bytes, const BufferCursor& next) {
    request_.scratch[0] += bytes;
    request_.scratch[1] = next.index();
    request_.scratch[2] = next.offset();
  }
  // Nothing more will be put in the ring for it.
  [[nodiscard]] bool all_sent() const { return (request_.scratch[3] & kAllSent) != 0; }
  void mark_all_sent() { request_.scratch[3] |= kAllSent; }

  // ---- what has been answered ----------------------------------------------------------------
  [[nodiscard]] uint32_t outstanding() const { return static_cast<uint32_t>(request_.scratch[3]); }
  void one_more_outstanding() { request_.scratch[3]++; }
  // Precondition: outstanding() != 0.
  void one_less_outstanding() { request_.scratch[3]--; }

  // The first failure stands.
  [[nodiscard]] IoStatus status() const {
    return static_cast<IoStatus>(request_.scratch[3] >> kStatusShift);
  }
  void note(IoStatus status) {
    if (this->status() == IoStatus::kOk)
      request_.scratch[3] |= static_cast<uint64_t>(status) << kStatusShift;
  }

 private:
  static_assert(static_cast<int>(IoStatus::kOk) == 0);
  static constexpr uint64_t kAllSent = uint64_t{1} << 32;
  static constexpr unsigned kStatusShift = 40;

  BlockRequest& request_;
};

}  // namespace splitring::frontend
