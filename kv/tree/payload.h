// What stands behind a key: flags, when it was written, and the bytes or where they are. Pure.
#pragma once

#include <optional>
#include <string>

#include "kv/tree/page.h"

namespace splitring::kv {

struct Payload {
  std::optional<int64_t> modified_s;
  bool elsewhere = false;  // in segments
  uint64_t number = 0;     // of the value, then
  uint64_t length = 0;     // of the value
  uint64_t changed = 0;    // elsewhere: the transaction that changed any of it last
  Bytes inline_bytes;      // else; as long as what it was parsed from

  // Nothing: malformed.
  static std::optional<Payload> parse(Bytes bytes);
  void append_to(std::string& out) const;
};

// The number of a value that lies elsewhere; nothing: it is in place, or malformed.
[[nodiscard]] std::optional<uint64_t> number_elsewhere(Bytes payload);

struct Segment {
  uint64_t page = 0;
  uint64_t birth = 0;
  uint32_t bytes = 0;
  Hash hash;

  // Nothing: malformed, or outside a store of so many pages.
  static std::optional<Segment> parse(Bytes bytes, uint64_t pages);
  void append_to(std::string& out) const;
  [[nodiscard]] uint64_t pages() const { return (bytes + kPageBytes - 1) / kPageBytes; }
};

// In the tree of names, the next free number; no tree's name: it holds a NUL.
inline constexpr std::string_view kNextTree{"\0next", 5};

inline constexpr size_t kSegmentKeyBytes = 16;
// Behind the tree's number.
[[nodiscard]] std::string segment_key(uint64_t number, uint64_t offset);
// Precondition: kSegmentKeyBytes of it.
[[nodiscard]] uint64_t number_of_segment_key(std::string_view key);
[[nodiscard]] uint64_t offset_of_segment_key(std::string_view key);

inline void append_be32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}
[[nodiscard]] inline uint32_t load_be32(std::string_view from) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) value = value << 8 | static_cast<uint8_t>(from[i]);
  return value;
}

}  // namespace splitring::kv
