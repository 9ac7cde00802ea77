#include "fs/tar/tar_header.h"

#include <cstring>

namespace splitring {
namespace {

constexpr uint16_t kPermissionBits = 07777;

template <size_t N>
std::string_view whole(const std::array<char, N>& field) {
  return {field.data(), N};
}

// Up to the first NUL; a field filled to its end has none.
template <size_t N>
std::string_view text(const std::array<char, N>& field) {
  const auto* end = static_cast<const char*>(std::memchr(field.data(), '\0', N));
  return {field.data(), end == nullptr ? N : static_cast<size_t>(end - field.data())};
}

// Eight bytes a step: the pairs of a word are added in its 16-bit lanes, 64 steps cannot overflow
// one (64 * 2 * 255 < 65536).
int64_t unsigned_sum(const std::byte* bytes) {
  constexpr uint64_t kEvenBytes = 0x00ff00ff00ff00ff;
  uint64_t lanes = 0;
  for (size_t i = 0; i < kTarBlockBytes; i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    lanes += (word & kEvenBytes) + ((word >> 8) & kEvenBytes);
  }
  return static_cast<int64_t>((lanes & 0xffff) + (lanes >> 16 & 0xffff) + (lanes >> 32 & 0xffff) +
                              (lanes >> 48));
}

int64_t signed_sum(const std::byte* bytes) {
  int64_t sum = 0;
  for (size_t i = 0; i < kTarBlockBytes; i++) sum += static_cast<int8_t>(bytes[i]);
  return sum;
}

bool checksum_matches(TarBlock block, const TarWireHeader& header) {
  const auto written = parse_tar_number(whole(header.checksum));
  if (!written) return false;
  // The sum is taken as if its own field were spaces. The field holds digits, spaces and NULs, the
  // same read as signed or unsigned bytes.
  int64_t correction = 0;
  for (const char c : header.checksum) correction += ' ' - static_cast<unsigned char>(c);
  if (unsigned_sum(block.data()) + correction == *written) return true;
  return signed_sum(block.data()) + correction == *written;
}

std::optional<int64_t> parse_base256(std::string_view field) {
  // The top bit marks the encoding, the next one is the sign.
  const auto first = static_cast<unsigned char>(field[0]);
  const bool negative = (first & 0x40) != 0;
  uint64_t value = negative ? ~uint64_t{0x3f} | (first & 0x3f) : first & 0x3f;
  for (size_t i = 1; i < field.size(); i++) {
    // The bits shifted out, and the sign bit, must all equal the sign.
    const auto top = static_cast<int64_t>(value) >> 55;
    if (top != (negative ? -1 : 0)) return std::nullopt;
    value = value << 8 | static_cast<unsigned char>(field[i]);
  }
  return static_cast<int64_t>(value);
}

uint32_t parse_owner(std::string_view field) {
  const int64_t number = parse_tar_number(field).value_or(0);
  return static_cast<uint64_t>(number) > UINT32_MAX ? 0 : static_cast<uint32_t>(number);
}

}  // namespace

std::optional<int64_t> parse_tar_number(std::string_view field) {
  if (field.empty()) return std::nullopt;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) return parse_base256(field);
  const auto is_blank = [](char c) { return c == ' ' || c == '\0'; };
  size_t at = 0;
  while (at < field.size() && is_blank(field[at])) at++;
  uint64_t value = 0;
  for (; at < field.size() && field[at] >= '0' && field[at] <= '7'; at++)
    value = value << 3 | static_cast<uint64_t>(field[at] - '0');
  // What follows the terminator is nobody's business; what stands in its place is.
  if (at < field.size() && !is_blank(field[at])) return std::nullopt;
  return static_cast<int64_t>(value);
}

Result<TarHeader> parse_tar_header(TarBlock block) {
  // Alignment 1 and bytes only: the block can be looked at in place, and the views point into it.
  const auto& wire = *reinterpret_cast<const TarWireHeader*>(block.data());
  if (!checksum_matches(block, wire)) return fail(Errc::kInvalid, "wrong header checksum");
  const auto size = parse_tar_number(whole(wire.size));
  if (!size || *size < 0) return fail(Errc::kInvalid, "the header's size field is no size");

  TarHeader header;
  header.type = wire.type == '\0' ? '0' : wire.type;
  header.name = text(wire.name);
  header.link_name = text(wire.link_name);
  if (whole(wire.magic).starts_with(std::string_view("ustar\0", 6)))
    header.prefix = text(wire.prefix);
  header.size = static_cast<uint64_t>(*size);
  header.mtime_s = parse_tar_number(whole(wire.mtime)).value_or(0);
  header.mode =
      static_cast<uint16_t>(parse_tar_number(whole(wire.mode)).value_or(0) & kPermissionBits);
  header.uid = parse_owner(whole(wire.uid));
  header.gid = parse_owner(whole(wire.gid));
  return header;
}

bool is_zero_block(TarBlock block) {
  return block[0] == std::byte{0} &&
         std::memcmp(block.data(), block.data() + 1, kTarBlockBytes - 1) == 0;
}

}  // namespace splitring
