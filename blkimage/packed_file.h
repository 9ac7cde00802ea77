// Compressed bytes, and where their decompression can begin: at the frames of zstd, at restart
// points that one pass over gzip has found. Between them they are read forwards.
//
// They lie in a file or on a disk (blkimage/packed_source.h); zeroes may follow them, as a disk is
// larger than what was put there.
//
// The bytes are hostile. Bounded: memory (windows up to kMaxPackedWindowBytes, points up to
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
#include "blkimage/packed_source.h"

namespace splitring {

inline constexpr size_t kMaxPackedWindowBytes = size_t{128} << 20;  // what zstd(1) takes by default
inline constexpr size_t kMaxPackedPoints = size_t{1} << 20;
inline constexpr size_t kGzipWindowBytes = size_t{32} << 10;
// Points within gzip keep a window each: when there are this many, every second one goes.
inline constexpr size_t kMaxGzipPoints = 1024;

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
  uint64_t packed_bytes = 0;
  uint64_t unpacked_bytes = 0;
  std::vector<PackedPoint> points;  // by place, the first one at 0

  // Where the stretch ends that begins with points[index].
  [[nodiscard]] uint64_t end_of(size_t index) const {
    return index + 1 < points.size() ? points[index + 1].unpacked : unpacked_bytes;
  }
};

// By the first bytes: zstd, gzip, or neither. Errors: the source's.
Result<PackedFormat> detect_packed_format(PackedSource& source);
// Finds the points, through a source that waits. Errors: the source's; kInvalid (not of that
// format, damaged, lying), kLimit.
Result<std::shared_ptr<const PackedMap>> map_packed_file(PackedSource& source, PackedFormat format,
                                                         const PackedLimits& limits = {});
// kLimit: no stretch may be longer than that. For maps of any origin.
Result<> check_runs(const PackedMap& map, const PackedLimits& limits);

// One thread. Content from a point on. What fails with kBusy (the source's) has changed nothing
// that matters: the same call comes again.
class PackedDecoder {
 public:
  virtual ~PackedDecoder() = default;
  // Begins at that point of the map.
  virtual Result<> restart(size_t point) = 0;
  // The next bytes, at least one; 0 at the end of the content. Errors: the source's; kInvalid if
  // it is not what the map says.
  virtual Result<size_t> next(std::span<std::byte> out) = 0;
};

// The source outlives it.
Result<std::unique_ptr<PackedDecoder>> make_packed_decoder(std::shared_ptr<const PackedMap> map,
                                                           PackedSource& source);

// Of the formats; see above.
Result<> map_zstd(PackedMap& map, PackedSource& source, const PackedLimits& limits);
Result<> map_gzip(PackedMap& map, PackedSource& source, const PackedLimits& limits);
std::unique_ptr<PackedDecoder> make_zstd_decoder(std::shared_ptr<const PackedMap> map,
                                                 PackedSource& source);
std::unique_ptr<PackedDecoder> make_gzip_decoder(std::shared_ptr<const PackedMap> map,
                                                 PackedSource& source);

// The source's bytes in order, a large read at a time.
class PackedInput {
 public:
  explicit PackedInput(PackedSource& source) : source_(source), buffer_(PackedSource::kMostBytes) {}
  void seek(uint64_t offset) {
    const uint64_t skipped = offset - (next_ - here_.size());  // huge if it lies before
    here_ = skipped <= here_.size() ? here_.subspan(skipped) : std::span<const std::byte>();
    if (here_.empty()) next_ = offset;
  }
  // What is there from the current place on; empty at the end.
  Result<std::span<const std::byte>> get();
  void consume(size_t bytes) { here_ = here_.subspan(bytes); }
  [[nodiscard]] uint64_t offset() const { return next_ - here_.size(); }

 private:
  PackedSource& source_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> here_;
  uint64_t next_ = 0;
};

// True if nothing but zeroes follows, as far as it is looked at (kLookedAtPadding): what pads a
// disk or a tape. The rest of a large disk is not read.
Result<bool> is_padding_from(PackedSource& source, uint64_t offset);
inline constexpr uint64_t kLookedAtPadding = uint64_t{1} << 20;

}  // namespace splitring
