// The 512-byte header of a tar archive: its layout, and the one place that turns it into checked
// values. Pure; callable from any thread.
//
// Sources: POSIX.1-2017 pax, "ustar Interchange Format" (fields, checksum, typeflags); GNU tar
// manual, "Basic Tar Format" (old GNU magic, types L, K, S, base-256 numbers).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace splitring {

inline constexpr size_t kTarBlockBytes = 512;
using TarBlock = std::span<const std::byte, kTarBlockBytes>;

// As it lies in the archive. Every field is text of the archive's maker: never trusted.
struct TarWireHeader {
  std::array<char, 100> name;
  std::array<char, 8> mode;
  std::array<char, 8> uid;
  std::array<char, 8> gid;
  std::array<char, 12> size;
  std::array<char, 12> mtime;
  std::array<char, 8> checksum;
  char type;
  std::array<char, 100> link_name;
  std::array<char, 8> magic;  // "ustar\0" "00" (POSIX), "ustar  \0" (GNU), anything else: V7
  std::array<char, 32> user_name;
  std::array<char, 32> group_name;
  std::array<char, 8> device_major;
  std::array<char, 8> device_minor;
  std::array<char, 155> prefix;  // POSIX only; GNU keeps times and a sparse map here
  std::array<char, 12> padding;
};
static_assert(sizeof(TarWireHeader) == kTarBlockBytes && alignof(TarWireHeader) == 1);
static_assert(offsetof(TarWireHeader, size) == 124);
static_assert(offsetof(TarWireHeader, checksum) == 148);
static_assert(offsetof(TarWireHeader, type) == 156);
static_assert(offsetof(TarWireHeader, magic) == 257);
static_assert(offsetof(TarWireHeader, prefix) == 345);

// A header whose checksum and size are good. The views point into the block.
struct TarHeader {
  char type = '0';  // the typeflag; '\0' of V7 reads as '0'
  std::string_view prefix;
  std::string_view name;
  std::string_view link_name;
  uint64_t size = 0;
  int64_t mtime_s = 0;  // unreadable: 0
  uint16_t mode = 0;    // the permission bits, at most 07777; unreadable: 0
  uint32_t uid = 0;     // unreadable, or more than 32 bits: 0
  uint32_t gid = 0;
};

// Errors (kInvalid): wrong checksum (unsigned and signed sums are both taken), or a size that is no
// number, negative, or does not fit 63 bits. Only the size decides where the next header is, so
// a bad time or mode does no harm.
Result<TarHeader> parse_tar_header(TarBlock block);

[[nodiscard]] bool is_zero_block(TarBlock block);

// A numeric field: octal digits between spaces and NULs (none at all: 0), or base-256 (top bit of
// the first byte set: a big-endian two's complement number in the other bits).
// Precondition: at most 20 bytes, so that octal cannot overflow.
[[nodiscard]] std::optional<int64_t> parse_tar_number(std::string_view field);

}  // namespace splitring
