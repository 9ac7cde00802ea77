#include "tools/common/buffer_relay.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace splitring::tools {

// Buffers that go round between who fills them and who empties them. Both count for ever: buffer
// n % kBuffers is the filler's while emptied_ <= n - kBuffers, and the emptier's while n < filled_.
class BufferRelay::Belt {
 public:
  using Buffers = std::array<std::span<std::byte>, kBuffers>;

  Belt(const Buffers& buffers, size_t first_bytes) : buffers_(buffers), filled_(1) {
    bytes_.front() = first_bytes;
  }

  void fill(const Source& source) {
    for (size_t n = 1;; n++) {
      if (!may_fill(n)) return;
      const auto count = source(buffers_[n % kBuffers]);
      const std::lock_guard lock(mutex_);
      if (!count) return stop(count.error());
      if (*count == 0) {
        ended_ = true;
      } else {
        bytes_[n % kBuffers] = *count;
        filled_++;
      }
      changed_.notify_all();
      if (ended_) return;
    }
  }

  void empty(const Target& target) {
    for (size_t n = 0;; n++) {
      if (!may_empty(n)) return;
      const auto done = target(buffers_[n % kBuffers].first(bytes_[n % kBuffers]));
      const std::lock_guard lock(mutex_);
      if (!done) return stop(done.error());
      emptied_++;
      changed_.notify_all();
    }
  }

  // Both have returned.
  Result<> outcome() {
    if (failure_) return tl::make_unexpected(*std::move(failure_));
    return {};
  }

 private:
  // False of both: the other side failed.
  bool may_fill(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || n - emptied_ < kBuffers; });
    return !failure_;
  }
  // False too if that was all.
  bool may_empty(size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || n < filled_ || ended_; });
    return !failure_ && n < filled_;
  }

  void stop(const Error& error) {
    if (!failure_) failure_ = error;
    changed_.notify_all();
  }

  const Buffers buffers_;
  std::array<size_t, kBuffers> bytes_{};  // in each; who may touch the buffer may touch its count
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t filled_;
  size_t emptied_ = 0;
  bool ended_ = false;
  std::optional<Error> failure_;
};

// Page-aligned: the kernel copies to memory that begins within a cache line at a third of the
// speed.
Result<std::span<std::byte>> BufferRelay::buffer(size_t number) {
  LaneMemory& memory = memory_.at(number);
  if (memory.bytes().empty()) memory = TRY(LaneMemory::allocate(lane_, kBufferBytes));
  return memory.bytes();
}

Result<> BufferRelay::run_overlapped(size_t first_bytes, const Source& source, const Target& target,
                                     Beside beside) {
  Belt::Buffers buffers;
  for (size_t i = 0; i < kBuffers; i++) buffers[i] = TRY(buffer(i));
  Belt belt(buffers, first_bytes);
  std::thread helper([&] { beside == Beside::kSource ? belt.fill(source) : belt.empty(target); });
  beside == Beside::kSource ? belt.empty(target) : belt.fill(source);
  helper.join();
  return belt.outcome();
}

Result<> BufferRelay::run(const Source& source, const Target& target, Beside beside) {
  const std::span<std::byte> memory = TRY(buffer(0));
  while (true) {
    const size_t count = TRY(source(memory));
    if (count == 0) return {};
    if (beside != Beside::kNothing && count == memory.size())
      return run_overlapped(count, source, target, beside);
    TRY_VOID(target(memory.first(count)));
  }
}

}  // namespace splitring::tools
