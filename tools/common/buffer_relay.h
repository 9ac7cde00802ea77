// Bytes on their way between a file of the host and a disk, both of which block: a thread beside
// the caller's works on the host's side, so that neither waits for the other. What comes in less
// than one buffer is moved on the caller's thread alone.
//
// The caller's thread owns the lane. The buffers are the lane's memory, kept from one run to the
// next.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/lane_memory.h"

namespace splitring::tools {

class BufferRelay {
 public:
  // Fills the buffer and returns how much of it: 0 at the end.
  using Source = std::function<Result<size_t>(std::span<std::byte>)>;
  using Target = std::function<Result<>(std::span<const std::byte>)>;
  // What runs on a thread of its own. Not what uses the lane, nor what may wait for a person: an
  // error of the other side is returned only when the call that is under way has ended.
  enum class Beside : uint8_t { kNothing, kSource, kTarget };

  // The lane outlives it.
  explicit BufferRelay(BlockQueue& lane) : lane_(lane) {}

  // All that the source has, in order. Of errors, the one that came first; after it neither side is
  // called again.
  Result<> run(const Source& source, const Target& target, Beside beside);

 private:
  static constexpr size_t kBuffers = 4;
  static constexpr size_t kBufferBytes = size_t{1} << 20;
  class Belt;

  Result<std::span<std::byte>> buffer(size_t number);
  // The first buffer holds that much already.
  Result<> run_overlapped(size_t first_bytes, const Source& source, const Target& target,
                          Beside beside);

  BlockQueue& lane_;
  std::array<LaneMemory, kBuffers> memory_;
};

}  // namespace splitring::tools
