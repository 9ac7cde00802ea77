// Integers as they lie on a disk or a wire: byte arrays of alignment 1 that read as integers.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace splitring {

template <std::unsigned_integral T>
class LittleEndian {
 public:
  constexpr LittleEndian() = default;
  constexpr LittleEndian(T value) {  // NOLINT(google-explicit-constructor): reads as an integer
    for (size_t i = 0; i < sizeof(T); i++) bytes_[i] = static_cast<uint8_t>(value >> (8 * i));
  }
  constexpr operator T() const {  // NOLINT(google-explicit-constructor)
    T value = 0;
    for (size_t i = 0; i < sizeof(T); i++) value = static_cast<T>(value | T{bytes_[i]} << (8 * i));
    return value;
  }

 private:
  std::array<uint8_t, sizeof(T)> bytes_{};
};

template <std::unsigned_integral T>
class BigEndian {
 public:
  constexpr BigEndian() = default;
  constexpr BigEndian(T value) {  // NOLINT(google-explicit-constructor): reads as an integer
    for (size_t i = 0; i < sizeof(T); i++)
      bytes_[sizeof(T) - 1 - i] = static_cast<uint8_t>(value >> (8 * i));
  }
  constexpr operator T() const {  // NOLINT(google-explicit-constructor)
    T value = 0;
    for (size_t i = 0; i < sizeof(T); i++)
      value = static_cast<T>(value | T{bytes_[sizeof(T) - 1 - i]} << (8 * i));
    return value;
  }

 private:
  std::array<uint8_t, sizeof(T)> bytes_{};
};

using le16 = LittleEndian<uint16_t>;
using le32 = LittleEndian<uint32_t>;
using le64 = LittleEndian<uint64_t>;
using be16 = BigEndian<uint16_t>;
using be32 = BigEndian<uint32_t>;
using be64 = BigEndian<uint64_t>;

static_assert(sizeof(le64) == 8 && alignof(le64) == 1);

}  // namespace splitring
