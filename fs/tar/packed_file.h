// A compressed file, and where its decompression can begin: at the frames of a zstd file, at
// restart points that one pass over a gzip file has found. Between them it is read forwards.
//
// The file is hostile. Bounded: memory (windows up to kMaxPackedWindowBytes, points up to
// kMaxPackedPoints), the time that one read can take (no stretch without a restart point is longer
// than PackedLimits::run_bytes), and the time of opening (what has to be decompressed to learn its
// length, up to PackedLimits::measured_bytes; what a file announces about itself is checked against
// what its blocks can hold).
//
// Sources: RFC 8878 (zstd frames, blocks, skippable frames); zstd contrib/seekable_format
// specification 0.1.0 (seek table); RFC 1952 (gzip); zlib's manual (inflate with Z_BLOCK,
// inflatePrime, inflateSetDictionary: what examples/zran.c shows).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring {

inline constexpr size_t kMaxPackedWindowBytes = size_t{128} << 20;  // what zstd(1) takes by default
inline constexpr size_t kMaxPackedPoints = size_t{1} << 20;
inline constexpr size_t kGzipWindowBytes = size_t{32} << 10;

enum class PackedFormat : uint8_t { kStored, kZstd, kGzip };

struct PackedLimits {
  uint64_t run_bytes = uint64_t{1} << 30;
  uint64_t measured_bytes = uint64_t{64} << 30;
};

// Decompression can begin here.
struct PackedPoint {
  uint64_t unpacked = 0;  // byte of the content
  uint64_t packed = 0;    // byte of the file
  // gzip within a member: bits of the byte before that belong to what follows, and what came
  // before.
  uint8_t bits = 0;
  std::shared_ptr<const std::vector<std::byte>> window = nullptr;
};

// Immutable; any number of threads.
struct PackedMap {
  PackedFormat format = PackedFormat::kStored;
  UniqueFd file;
  uint64_t packed_bytes = 0;
  uint64_t unpacked_bytes = 0;
  std::vector<PackedPoint> points;  // by place, the first one at 0

  // Where the stretch ends that begins with points[index].
  [[nodiscard]] uint64_t end_of(size_t index) const {
    return index + 1 < points.size() ? points[index + 1].unpacked : unpacked_bytes;
  }
};

// By the file's first bytes: zstd, gzip, or neither. Errors: the file's.
Result<PackedFormat> detect_packed_format(int fd);
// Finds the points. Errors: the file's; kInvalid (not of that format, damaged, lying), kLimit.
Result<std::shared_ptr<const PackedMap>> map_packed_file(UniqueFd file, PackedFormat format,
                                                         const PackedLimits& limits = {});

// One thread. Content from a point on.
class PackedDecoder {
 public:
  virtual ~PackedDecoder() = default;
  // Begins at that point of the map.
  virtual Result<> restart(size_t point) = 0;
  // The next bytes, at least one; 0 at the end of the content. Errors: the file's; kInvalid if it
  // is not what the map says.
  virtual Result<size_t> next(std::span<std::byte> out) = 0;
};

Result<std::unique_ptr<PackedDecoder>> make_packed_decoder(std::shared_ptr<const PackedMap> map);

// Of the formats; see above.
Result<> map_zstd(PackedMap& map, const PackedLimits& limits);
Result<> map_gzip(PackedMap& map, const PackedLimits& limits);
std::unique_ptr<PackedDecoder> make_zstd_decoder(std::shared_ptr<const PackedMap> map);
std::unique_ptr<PackedDecoder> make_gzip_decoder(std::shared_ptr<const PackedMap> map);

// The file's bytes in order, a large read at a time.
class PackedInput {
 public:
  explicit PackedInput(const PackedMap& map) : map_(map), buffer_(kBufferBytes) {}
  void seek(uint64_t offset) {
    const uint64_t skipped = offset - (next_ - here_.size());  // huge if it lies before
    here_ = skipped <= here_.size() ? here_.subspan(skipped) : std::span<const std::byte>();
    if (here_.empty()) next_ = offset;
  }
  // What is there of the file from the current place on; empty at its end.
  Result<std::span<const std::byte>> get();
  void consume(size_t bytes) { here_ = here_.subspan(bytes); }
  [[nodiscard]] uint64_t offset() const { return next_ - here_.size(); }

 private:
  static constexpr size_t kBufferBytes = size_t{128} << 10;
  const PackedMap& map_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> here_;
  uint64_t next_ = 0;
};

// True if the file holds nothing but zeroes from there on: padding of a disk or a tape.
Result<bool> only_zeroes_from(const PackedMap& map, uint64_t offset);

}  // namespace splitring
