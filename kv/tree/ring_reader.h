// The ring as a replay reads it: from where it begins, in order, ahead of who looks at it, into one
// piece of memory in which what lies behind the ring's end and at its beginning are neighbours. One
// thread.
#pragma once

#include <sys/uio.h>

#include <array>

#include "blkimage/block_device.h"
#include "kv/tree/large_memory.h"

namespace splitring::kv {

class RingReader {
 public:
  // `first_page`, `ring_bytes`: where the ring lies; `begin`: the first position that is asked for.
  // Precondition: a sector's, and the ring's bytes are pages. kLimit.
  static Result<std::unique_ptr<RingReader>> create(uint64_t first_page, uint64_t ring_bytes,
                                                    uint64_t begin, BlockQueue& lane);
  ~RingReader() { lane_.drain(); }
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;

  // Bytes from `position` on; none if they cross the ring's end, or are more than one round.
  // Precondition: not before the beginning.
  Result<std::span<std::byte>> bytes(uint64_t position, uint64_t count);
  // What was read up to `end`: every span up to there stays as long as this is kept.
  LargeMemory take(uint64_t end) &&;

 private:
  static constexpr uint64_t kChunkBytes = uint64_t{512} << 10;
  static constexpr size_t kChunks = 6;  // in flight
  struct Chunk : BlockRequest {
    iovec buffer{};
    bool busy = false;
  };

  RingReader(uint64_t first_page, uint64_t ring_bytes, uint64_t begin, BlockQueue& lane,
             LargeMemory memory);
  static void done(BlockRequest& request) noexcept { static_cast<Chunk&>(request).busy = false; }
  void ask();
  Result<> await_oldest();

  BlockQueue& lane_;
  LargeMemory memory_;
  const uint64_t first_byte_;
  const uint64_t ring_bytes_;
  const uint64_t origin_;  // the position that memory begins with
  const uint64_t limit_;   // and the one that it ends with
  uint64_t asked_;         // up to here chunks are read, or on their way
  uint64_t there_;         // up to here they are there
  std::array<Chunk, kChunks> chunks_;
  size_t oldest_ = 0;
};

}  // namespace splitring::kv
