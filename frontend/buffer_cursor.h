// A place in a request's list of buffers that moves forward. Pure; no allocation.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace splitring::frontend {

class BufferCursor {
 public:
  BufferCursor(std::span<const iovec> buffers, size_t index, size_t offset)
      : buffers_(buffers), index_(index), offset_(offset) {
    skip_finished();
  }

  [[nodiscard]] size_t index() const { return index_; }
  [[nodiscard]] size_t offset() const { return offset_; }

  // Precondition of all below: as many bytes are left as they are asked about, and at least one.
  [[nodiscard]] std::byte* address() const {
    return static_cast<std::byte*>(buffers_[index_].iov_base) + offset_;
  }
  [[nodiscard]] size_t left_in_buffer() const { return buffers_[index_].iov_len - offset_; }

  void skip(size_t bytes) {
    for_each_piece(bytes, [](std::byte*, size_t) {});
  }
  void copy_to(std::byte* to, size_t bytes) {
    for_each_piece(bytes, [&](std::byte* piece, size_t length) {
      std::memcpy(to, piece, length);
      to += length;
    });
  }
  void copy_from(const std::byte* from, size_t bytes) {
    for_each_piece(bytes, [&](std::byte* piece, size_t length) {
      std::memcpy(piece, from, length);
      from += length;
    });
  }

 private:
  template <class Each>
  void for_each_piece(size_t bytes, Each&& each) {
    while (bytes != 0) {
      const size_t length = std::min(bytes, left_in_buffer());
      each(address(), length);
      bytes -= length;
      offset_ += length;
      skip_finished();
    }
  }
  void skip_finished() {
    while (index_ < buffers_.size() && offset_ == buffers_[index_].iov_len) {
      index_++;
      offset_ = 0;
    }
  }

  std::span<const iovec> buffers_;
  size_t index_;
  size_t offset_;
};

}  // namespace splitring::frontend
