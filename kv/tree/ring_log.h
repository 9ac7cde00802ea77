// The ring: committed transactions that are in no tree yet, batch behind batch.
//
// A position counts bytes since the store was made; its place is position modulo the ring's size.
// A batch begins at a block, does not cross the ring's end (the position skips to the beginning
// instead), and carries its position, the hash of the batch before it and its own, so what a replay
// finds is exactly an unbroken row of batches from where the superblock says to begin; a torn one,
// and what was there an earlier time around, ends it.
//
// Not thread-safe: who leads a commit writes, and moves the end under the store's lock.
#pragma once

#include <functional>
#include <memory>

#include "blkimage/block_device.h"
#include "kv/tree/page.h"
#include "kv/tree/ring_reader.h"

namespace splitring::kv {

// Transactions on their way to the ring, as they will lie there. Reused; grows as needed.
class Batch {
 public:
  [[nodiscard]] bool empty() const { return bytes_ == sizeof(DiskBatch); }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t last_sequence() const { return last_sequence_; }
  // `names_values`: it names segments of long values that were written just now.
  void add(uint64_t sequence, uint32_t changes, std::string_view log, bool names_values);
  void clear() {
    bytes_ = sizeof(DiskBatch);
    names_values_ = false;
  }

 private:
  friend class RingLog;
  struct Free {
    void operator()(std::byte* memory) const noexcept { ::free(memory); }
  };
  void grow(size_t bytes);

  std::unique_ptr<std::byte, Free> memory_;
  size_t capacity_ = 0;
  size_t bytes_ = sizeof(DiskBatch);
  bool names_values_ = false;
  uint64_t last_sequence_ = 0;
};

class RingLog {
 public:
  struct Position {
    uint64_t at = 0;
    Hash hash;             // of the batch before it
    uint64_t durable = 0;  // what is before this position has been flushed
  };
  struct Shape {
    uint64_t first_page = 0;
    uint64_t bytes = 0;
    uint32_t block_bytes = kSectorSize;
    uint64_t store_id = 0;
  };

  RingLog(const Shape& shape, const Position& begin)
      : shape_(shape), begin_(begin.at), end_(begin) {}

  // The longest batch, and so the longest transaction that goes through the ring.
  [[nodiscard]] uint64_t most_batch_bytes() const { return shape_.bytes / 8; }
  // Whether two batches of such a size in sum, whatever is skipped before them, fit behind what
  // must be kept.
  [[nodiscard]] bool has_room(uint64_t bytes) const {
    return end_.at - begin_ + bytes + 2 * kPageBytes + 2 * most_batch_bytes() <= shape_.bytes;
  }
  [[nodiscard]] uint64_t used_bytes() const { return end_.at - begin_; }

  // One write, and a flush if so asked; one before it if the batch names long values, which must
  // not be missing when the batch is there after a power cut. Returns where the ring ends then, for
  // move_end(). It looks at the ring's end alone. Precondition: not empty, has_room().
  Result<Position> write(Batch& batch, BlockQueue& lane, bool flush) const;
  void move_end(const Position& end) { end_ = end; }
  [[nodiscard]] const Position& end() const { return end_; }
  // What is before this position is in the trees and may be written over.
  void forget_before(uint64_t position) { begin_ = position; }

  // Of a replay: each change in order, and whether to go on. What it shows stays as long as the
  // memory that the replay returns.
  struct Replayed {
    uint64_t sequence;
    uint8_t kind;
    std::string_view key;
    Bytes payload;
  };
  using Visit = std::function<Result<>(const Replayed& change)>;
  struct Replay {
    uint64_t last_sequence = 0;  // 0: there was none
    LargeMemory memory;
  };
  // Calls `visit` with every change behind the beginning. Errors: the medium's; kInvalid: a batch
  // that is whole and makes no sense; kIo: a batch that had been durable is not what was written.
  Result<Replay> replay(BlockQueue& lane, const Visit& visit);

 private:
  // The batch at `position`, if it is whole; none: it is not. Follows whatever hash comes before
  // it.
  Result<std::span<std::byte>> whole_batch(RingReader& reader, uint64_t position) const;
  // The batch that follows the end, wherever that may be; none: there is none.
  Result<std::span<std::byte>> next_batch(RingReader& reader) const;
  Result<> look_for_lost(RingReader& reader) const;
  [[nodiscard]] static Result<uint64_t> replay_batch(Bytes batch, uint64_t last,
                                                     const Visit& visit);
  [[nodiscard]] uint64_t room_to_end(uint64_t position) const {
    return shape_.bytes - position % shape_.bytes;
  }

  const Shape shape_;
  uint64_t begin_;
  Position end_;
};

}  // namespace splitring::kv
