// A value that was looked up: its size, where its bytes lie, and three ways to read them.
//
//   read()     some of them into the caller's memory; blocks
//   ValueStream  all of them, buffer by buffer, without a copy where the store allows it; blocks
//   locate()   where they lie, for those who read through requests of their own (a server that
//              fills its own lane buffers) or send memory as it is
//
// A Value belongs to the thread of its store and does not outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/lane_memory.h"

namespace splitring::kv {

// Bytes of a value that lie together.
struct InMemory {
  std::span<const std::byte> bytes;  // live as long as the store's data
};
struct OnDisk {
  uint64_t offset = 0;  // in bytes on the disk that the store stands on; of any alignment
  uint64_t bytes = 0;
};
struct Zeroes {
  uint64_t bytes = 0;  // a hole: on no disk
};
struct Elsewhere {};  // compressed, say: only read() knows
using Piece = std::variant<InMemory, OnDisk, Zeroes, Elsewhere>;

class Value {
 public:
  virtual ~Value() = default;
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;

  [[nodiscard]] uint64_t size() const { return size_; }

  // Fills `out` from `offset` and returns the number of bytes: fewer than asked for at the value's
  // end only, 0 beyond it. Errors: the medium's.
  Result<size_t> read(uint64_t offset, std::span<std::byte> out);

  // The longest piece that begins at `offset`. Precondition: offset < size().
  [[nodiscard]] virtual Piece locate(uint64_t offset) const = 0;

 protected:
  explicit Value(uint64_t size) : size_(size) {}

 private:
  friend class ValueStream;
  // Precondition: [offset, offset + out.size()) is within the value.
  virtual Result<> do_read(uint64_t offset, std::span<std::byte> out) = 0;
  // Whose pool has the best buffers to read into. Null: the heap's are as good.
  [[nodiscard]] virtual BlockQueue* lane() const { return nullptr; }

  uint64_t size_;
};

// The original's read: a stream of buffers.
//
//   while (!(bytes = TRY(stream.next())).empty()) ...
class ValueStream {
 public:
  // `value` outlives the stream. Bytes [first, first + length) of it, as far as it goes.
  explicit ValueStream(Value& value, uint64_t first = 0, uint64_t length = UINT64_MAX);

  // The next bytes, valid until the next call; none: the end. Errors: the medium's; the stream
  // stays where it was.
  Result<std::span<const std::byte>> next();

 private:
  Result<std::span<std::byte>> memory(size_t bytes);

  Value& value_;
  uint64_t at_;
  uint64_t end_;
  LaneMemory lent_;
  std::vector<std::byte> own_;
};

}  // namespace splitring::kv
