// The bytes of a fuzzer, or of a seeded generator, taken off value by value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace splitring::test {

// Zeroes once there are no bytes left, so that a short input means something, too.
class ByteInput {
 public:
  explicit ByteInput(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  template <class T>
  T take() {
    T value{};
    const size_t size = std::min(sizeof value, bytes_.size());
    if (size != 0) std::memcpy(&value, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return value;
  }
  uint8_t byte() { return take<uint8_t>(); }

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace splitring::test
