// Sizes with their unit in the type.
//
// Everything that the block protocol and BlockDevice count in sectors is in units of 512 bytes,
// whatever the block size of the disk. Source: xen/include/public/io/blkif.h since Xen commit
// 221f2748e8 (2024); 4.17's text is contradictory, Linux has always done it so.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace splitring {

inline constexpr uint32_t kSectorSize = 512;
inline constexpr uint32_t kPageSize = 4096;  // of Xen's ABI, not of this machine
inline constexpr uint32_t kSectorsPerPage = kPageSize / kSectorSize;

// A position on a disk or a length, in sectors of 512 bytes.
struct Sectors {
  uint64_t count = 0;

  constexpr auto operator<=>(const Sectors&) const = default;
  // Precondition: checked with in_range() or bounded by a disk's capacity, so it cannot overflow.
  [[nodiscard]] constexpr uint64_t bytes() const { return count * kSectorSize; }
  // Rounds down.
  [[nodiscard]] static constexpr Sectors from_bytes(uint64_t bytes) {
    return {bytes / kSectorSize};
  }

  constexpr Sectors& operator+=(Sectors other) {
    count += other.count;
    return *this;
  }
  constexpr Sectors& operator-=(Sectors other) {
    count -= other.count;
    return *this;
  }
  friend constexpr Sectors operator+(Sectors a, Sectors b) { return {a.count + b.count}; }
  friend constexpr Sectors operator-(Sectors a, Sectors b) { return {a.count - b.count}; }
};

// True if [first, first + count) lies in [0, total). Does not overflow for any input.
[[nodiscard]] constexpr bool in_range(uint64_t first, uint64_t count, uint64_t total) {
  return count <= total && first <= total - count;
}
[[nodiscard]] constexpr bool in_range(Sectors first, Sectors count, Sectors total) {
  return in_range(first.count, count.count, total.count);
}

[[nodiscard]] constexpr bool is_power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

// Precondition: `unit` is not zero; the result fits.
[[nodiscard]] constexpr uint64_t round_up(uint64_t n, uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace splitring
