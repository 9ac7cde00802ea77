// Where a request's body ends: Content-Length counted down, or chunks taken apart.
//
// As strict as the head parser (H3): sizes are hexadecimal digits, lines end in CRLF and nothing
// else, and what does not hold ends the connection. A chunk's extensions and the fields behind the
// last one are bounded and passed over. Source: RFC 9112 6 and 7.1.
//
// Pure. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace splitring::http {

// Longest line of a chunk's size with its extensions, or of a field behind the last chunk; and most
// such fields. Ours.
inline constexpr size_t kMaxChunkLine = 256;
inline constexpr size_t kMaxTrailers = 32;

class BodyDecoder {
 public:
  static BodyDecoder of_length(uint64_t bytes) { return {Place::kData, bytes, false}; }
  static BodyDecoder of_chunks() { return {Place::kSize, 0, true}; }

  enum class State : uint8_t { kMore, kData, kEnd, kBroken };
  struct Outcome {
    State state = State::kMore;
    size_t taken = 0;            // of the input: give the rest again
    std::string_view data = {};  // kData: a piece of the body, never empty, within what was taken
  };
  // `input`: everything that is not taken yet. kMore: with more of it, please.
  Outcome next(std::string_view input);

 private:
  enum class Place : uint8_t { kSize, kData, kDataEnd, kTrailers, kEnd, kBroken };
  BodyDecoder(Place place, uint64_t left, bool chunked)
      : place_(place), left_(left), chunked_(chunked) {}
  Outcome take_data(std::string_view input);
  Outcome take_line(std::string_view input);
  [[nodiscard]] bool read_size(std::string_view line);
  [[nodiscard]] bool read_line(std::string_view line);

  Place place_;
  uint64_t left_;  // of the body, or of the chunk
  bool chunked_;
  size_t trailers_ = 0;
};

}  // namespace splitring::http
