// A directory compiled into a program: its bytes, as `splitring crunch` lays them out, and how they
// are laid out from a list of members.
//
//   header | entries, in the order of a walk | keys | contents, each once, at multiples of 16
//
// Entry 0 is the root. Keys are ordered as bytes but with '/' before all others, so that what lies
// below a dictionary follows it; an entry says where that ends. All positions are from the image's
// first byte, so an image needs no relocation, and integers are little-endian. The same members
// make the same bytes, in any order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "kv/digest.h"
#include "kv/read_store.h"

namespace splitring::kv {

inline constexpr std::string_view kImageMagic = "splitring-crunch";
inline constexpr uint32_t kImageVersion = 1;
inline constexpr size_t kContentAlignment = 16;
inline constexpr int64_t kUnknownTime = std::numeric_limits<int64_t>::min();

struct ImageHeader {
  std::array<char, 16> magic;
  le32 version;
  le32 entry_count;
  le64 image_bytes;
};
static_assert(sizeof(ImageHeader) == 32);

struct ImageEntry {
  le64 key_at;
  le32 key_bytes;
  le32 end;  // of a dictionary: the index behind the last entry below it; of a value 0
  le64 at;   // of a value's bytes
  le64 size;
  le64 modified_s;                   // two's complement; kUnknownTime: nobody knows
  std::array<std::byte, 32> digest;  // of a value
};
static_assert(sizeof(ImageEntry) == 72);

// The order of the entries.
[[nodiscard]] bool key_before(std::string_view a, std::string_view b);

struct CompiledMember {
  std::string key;  // normal
  Kind kind = Kind::kValue;
  uint64_t size = 0;  // of a value, and its digest
  Digest digest{};
  std::optional<int64_t> modified_s = {};
};

struct CompiledLayout {
  struct Content {
    size_t member;  // the first, by key, that has these bytes
    uint64_t at;    // in the image; between contents there are zeroes
  };
  std::vector<CompiledMember> members;  // in order, with every dictionary that a key implies
  std::vector<Content> contents;        // in the order of the image; none is empty
  std::string front;                    // the image up to the first content, unaligned
  uint64_t image_bytes = 0;
};

// Preconditions: no key twice, none both a value and the front of another; fewer than 2^32.
[[nodiscard]] CompiledLayout lay_out(std::vector<CompiledMember> members);

}  // namespace splitring::kv
