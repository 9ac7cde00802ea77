#include "kv/value.h"

#include <algorithm>
#include <array>

namespace splitring::kv {
namespace {

// One next() of a disk's bytes: enough to keep a disk busy, little enough to hold by the hundred.
constexpr size_t kStreamBytes = size_t{256} << 10;

}  // namespace

Result<size_t> Value::read(uint64_t offset, std::span<std::byte> out) {
  if (offset >= size_) return size_t{0};
  const size_t bytes = std::min<uint64_t>(out.size(), size_ - offset);
  if (bytes != 0) TRY_VOID(do_read(offset, out.first(bytes)));
  return bytes;
}

ValueStream::ValueStream(Value& value, uint64_t first, uint64_t length)
    : value_(value),
      at_(std::min(first, value.size())),
      end_(at_ + std::min(length, value.size() - at_)) {}

Result<std::span<std::byte>> ValueStream::memory(size_t bytes) {
  if (BlockQueue* const lane = value_.lane(); lane != nullptr) {
    if (lent_.bytes().size() < bytes) lent_ = TRY(LaneMemory::allocate(*lane, bytes));
    return lent_.bytes().first(bytes);
  }
  if (own_.size() < bytes) own_.resize(bytes);
  return std::span(own_).first(bytes);
}

Result<std::span<const std::byte>> ValueStream::next() {
  if (at_ == end_) return std::span<const std::byte>();
  const Piece piece = value_.locate(at_);
  if (const auto* const in_memory = std::get_if<InMemory>(&piece); in_memory != nullptr) {
    const auto bytes =
        in_memory->bytes.first(std::min<uint64_t>(in_memory->bytes.size(), end_ - at_));
    at_ += bytes.size();
    return bytes;
  }
  const auto buffer = TRY(memory(std::min<uint64_t>(kStreamBytes, end_ - at_)));
  const size_t bytes = TRY(value_.read(at_, buffer));
  at_ += bytes;
  return std::span<const std::byte>(buffer.first(bytes));
}

}  // namespace splitring::kv
