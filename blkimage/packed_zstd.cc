// zstd: its frames are where reading can begin. A seek table says where they are, else their block
// headers are walked through, which reads a few bytes of each 128 KiB.
#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getFrameHeader: in every libzstd since 1.3
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/endian.h"
#include "base/units.h"
#include "blkimage/packed_file.h"

namespace splitring {
namespace {

constexpr uint32_t kSkippableMagic = 0x184d2a50;  // and the fifteen behind it
constexpr uint32_t kSeekTableMagic = 0x184d2a5e;
constexpr uint32_t kSeekFooterMagic = 0x8f92eab1;
constexpr uint64_t kSkippableHeaderBytes = 8;
constexpr uint64_t kBlockHeaderBytes = 3;
constexpr uint64_t kChecksumBytes = 4;
constexpr int kWindowLogMax = 27;
static_assert(size_t{1} << kWindowLogMax == kMaxPackedWindowBytes);

struct SeekFooter {
  le32 frames;
  uint8_t descriptor;
  le32 magic;
};
static_assert(sizeof(SeekFooter) == 9);

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(Errc::kInvalid, "damaged zstd file: " + what);
}

struct FreeDecoder {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Context = std::unique_ptr<ZSTD_DCtx, FreeDecoder>;

Context make_context() {
  Context context(ZSTD_createDCtx());
  if (context) ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  return context;
}

template <class T>
Result<T> read_struct(PackedSource& source, uint64_t offset) {
  T value{};
  if (!in_range(offset, sizeof value, source.bytes())) return damaged("it ends too early");
  TRY_VOID(source.read(offset, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

// The header of the frame at `offset`; nothing: it is a skippable one.
Result<std::optional<ZSTD_frameHeader>> read_frame_header(PackedSource& source, uint64_t offset) {
  std::array<std::byte, ZSTD_FRAMEHEADERSIZE_MAX> bytes{};
  const size_t there = std::min<uint64_t>(bytes.size(), source.bytes() - offset);
  TRY_VOID(source.read(offset, std::span(bytes).first(there)));
  ZSTD_frameHeader header{};
  const size_t wanted = ZSTD_getFrameHeader(&header, bytes.data(), there);
  if (ZSTD_isError(wanted)) return damaged("no frame where one should begin");
  if (wanted != 0) return damaged("it ends within a frame's header");
  if (header.frameType == ZSTD_skippableFrame) return std::optional<ZSTD_frameHeader>{};
  if (header.windowSize > kMaxPackedWindowBytes)
    return fail(Errc::kLimit, "a zstd window of " + std::to_string(header.windowSize) +
                                  " bytes: more than 128 MiB are refused");
  return std::optional(header);
}

// Decompresses one frame to learn its length.
class Measure {
 public:
  Measure(PackedSource& source, const PackedLimits& limits)
      : limits_(limits), input_(source), context_(make_context()), out_(ZSTD_DStreamOutSize()) {}

  Result<uint64_t> frame(uint64_t offset) {
    if (!context_) return fail(Errc::kLimit, "out of memory for a decompressor");
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    input_.seek(offset);
    uint64_t length = 0;
    while (true) {
      const auto here = TRY(input_.get());
      ZSTD_inBuffer in{here.data(), here.size(), 0};
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      const size_t rest = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(rest)) return damaged(ZSTD_getErrorName(rest));
      if (in.pos == 0 && out.pos == 0) return damaged("it ends within a frame");
      input_.consume(in.pos);
      length += out.pos;
      if ((total_ += out.pos) > limits_.measured_bytes)
        return fail(Errc::kLimit, "more than " + std::to_string(limits_.measured_bytes) +
                                      " bytes would have to be decompressed to open it: compress "
                                      "it so that frames say their length");
      if (rest == 0) return length;
    }
  }

 private:
  const PackedLimits& limits_;
  PackedInput input_;
  Context context_;
  std::vector<std::byte> out_;
  uint64_t total_ = 0;
};

Result<> add_point(PackedMap& map, uint64_t packed, uint64_t length) {
  if (length == 0) return {};
  if (map.points.size() == kMaxPackedPoints)
    return fail(Errc::kLimit, "a zstd file of more frames than are taken");
  map.points.push_back({.unpacked = map.unpacked_bytes, .packed = packed});
  if (!in_range(map.unpacked_bytes, length, uint64_t{1} << 62))
    return damaged("its frames claim too much");
  map.unpacked_bytes += length;
  return {};
}

// What the blocks of a frame say.
struct Walked {
  uint64_t end = 0;         // of the frame in the file
  uint64_t most_bytes = 0;  // that the blocks can hold
};

Result<Walked> walk_blocks(PackedSource& source, uint64_t offset, const ZSTD_frameHeader& header) {
  Walked walked{offset + header.headerSize, 0};
  while (true) {
    const auto bytes =
        TRY((read_struct<std::array<uint8_t, kBlockHeaderBytes>>(source, walked.end)));
    const uint32_t word =
        bytes[0] | static_cast<uint32_t>(bytes[1]) << 8 | static_cast<uint32_t>(bytes[2]) << 16;
    const uint32_t type = word >> 1 & 3;
    const uint32_t size = word >> 3;
    if (type == 3 || size > header.blockSizeMax) return damaged("a block that cannot be");
    walked.end += kBlockHeaderBytes + (type == 1 ? 1 : size);  // 1: one byte, repeated
    walked.most_bytes += type == 2 ? header.blockSizeMax : size;
    if ((word & 1) != 0) break;
  }
  if (header.checksumFlag != 0) walked.end += kChecksumBytes;
  if (walked.end > source.bytes()) return damaged("it ends within a frame");
  return walked;
}

Result<> walk_frames(PackedMap& map, PackedSource& source, const PackedLimits& limits) {
  Measure measure(source, limits);
  for (uint64_t offset = 0; offset < source.bytes();) {
    const auto header = read_frame_header(source, offset);
    if (!header) {
      if (offset != 0 && TRY(is_padding_from(source, offset))) return {};
      return tl::unexpected<Error>(header.error());
    }
    if (!*header) {
      const auto skipped = TRY((read_struct<std::array<le32, 2>>(source, offset)));
      offset += kSkippableHeaderBytes + skipped[1];
      if (offset > source.bytes()) return damaged("it ends within a frame");
      continue;
    }
    const Walked walked = TRY(walk_blocks(source, offset, **header));
    uint64_t length = (*header)->frameContentSize;
    if (length == ZSTD_CONTENTSIZE_UNKNOWN) length = TRY(measure.frame(offset));
    if (length > walked.most_bytes) return damaged("a frame claims more than its blocks can hold");
    TRY_VOID(add_point(map, offset, length));
    offset = walked.end;
  }
  return {};
}

// Where the file ends on a disk that is larger: behind the last byte that is not zero, and no seek
// table ends with one. Looks at the disk's end only: it may be anywhere else than here.
Result<uint64_t> end_without_padding(PackedSource& source) {
  const uint64_t looked_at = std::min<uint64_t>(source.bytes(), PackedSource::kMostBytes);
  std::vector<std::byte> tail(looked_at);
  TRY_VOID(source.read(source.bytes() - looked_at, tail));
  while (!tail.empty() && tail.back() == std::byte{0}) tail.pop_back();
  return source.bytes() - looked_at + tail.size();
}

// Adds a point for each entry; where their frames end.
Result<uint64_t> take_seek_entries(PackedMap& map, PackedSource& source, uint64_t first,
                                   uint64_t bytes, size_t entry_bytes) {
  std::vector<std::byte> entries(PackedSource::kMostBytes / entry_bytes * entry_bytes);
  uint64_t frame = 0;
  while (bytes != 0) {
    const auto here = std::span(entries).first(std::min<uint64_t>(entries.size(), bytes));
    TRY_VOID(source.read(first, here));
    for (size_t at = 0; at < here.size(); at += entry_bytes) {
      std::array<le32, 2> sizes;
      std::memcpy(sizes.data(), here.data() + at, sizeof sizes);
      TRY_VOID(add_point(map, frame, sizes[1]));
      frame += sizes[0];
    }
    first += here.size();
    bytes -= here.size();
  }
  return frame;
}

// False: there is no seek table. A table that lies is an error: nobody makes one by accident.
Result<bool> take_seek_table(PackedMap& map, PackedSource& source) {
  const uint64_t end = TRY(end_without_padding(source));
  if (end < sizeof(SeekFooter) + kSkippableHeaderBytes) return false;
  const auto footer = TRY(read_struct<SeekFooter>(source, end - sizeof(SeekFooter)));
  if (footer.magic != kSeekFooterMagic || (footer.descriptor & 0x7c) != 0) return false;
  const size_t entry_bytes = (footer.descriptor & 0x80) != 0 ? 12 : 8;
  const uint64_t table_bytes = uint64_t{footer.frames} * entry_bytes;
  const uint64_t whole = kSkippableHeaderBytes + table_bytes + sizeof(SeekFooter);
  if (whole > end || footer.frames > kMaxPackedPoints)
    return damaged("its seek table claims more frames than there can be");
  const uint64_t table = end - whole;
  const auto head = TRY((read_struct<std::array<le32, 2>>(source, table)));
  if (head[0] != kSeekTableMagic || head[1] != table_bytes + sizeof(SeekFooter))
    return damaged("its seek table has a wrong length");
  const uint64_t frames_end =
      TRY(take_seek_entries(map, source, table + kSkippableHeaderBytes, table_bytes, entry_bytes));
  if (frames_end != table) return damaged("its seek table does not lead through the file");
  return true;
}

class ZstdDecoder final : public PackedDecoder {
 public:
  ZstdDecoder(std::shared_ptr<const PackedMap> map, PackedSource& source, Context context)
      : map_(std::move(map)), source_(source), input_(source), context_(std::move(context)) {}

  Result<> restart(size_t point) override {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    const PackedPoint& from = map_->points[point];
    const auto header = TRY(read_frame_header(source_, from.packed));
    const uint64_t length = map_->end_of(point) - from.unpacked;
    if (!header || (header->frameContentSize != ZSTD_CONTENTSIZE_UNKNOWN &&
                    header->frameContentSize != length))
      return damaged("a frame is not as its seek table says");
    input_.seek(from.packed);
    point_ = point;
    unpacked_ = from.unpacked;
    return {};
  }

  Result<size_t> next(std::span<std::byte> out) override {
    while (unpacked_ < map_->unpacked_bytes) {
      const auto here = TRY(input_.get());
      ZSTD_inBuffer in{here.data(), here.size(), 0};
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      const size_t rest = ZSTD_decompressStream(context_.get(), &to, &in);
      if (ZSTD_isError(rest)) return damaged(ZSTD_getErrorName(rest));
      if (in.pos == 0 && to.pos == 0) return damaged("it ends within a frame");
      input_.consume(in.pos);
      unpacked_ += to.pos;
      // Frames without content have no point; skippable ones end with rest 0 too.
      if (unpacked_ > map_->end_of(point_)) return damaged("a frame is longer than was said");
      if (rest == 0 && unpacked_ == map_->end_of(point_) && point_ + 1 < map_->points.size())
        point_++;
      else if (rest == 0 && unpacked_ != map_->end_of(point_) &&
               unpacked_ != map_->points[point_].unpacked)
        return damaged("a frame is shorter than was said");
      if (to.pos != 0) return to.pos;
    }
    return size_t{0};
  }

 private:
  const std::shared_ptr<const PackedMap> map_;
  PackedSource& source_;
  PackedInput input_;
  Context context_;
  size_t point_ = 0;
  uint64_t unpacked_ = 0;
};

}  // namespace

Result<> map_zstd(PackedMap& map, PackedSource& source, const PackedLimits& limits) {
  if (TRY(take_seek_table(map, source))) return {};
  return walk_frames(map, source, limits);
}

std::unique_ptr<PackedDecoder> make_zstd_decoder(std::shared_ptr<const PackedMap> map,
                                                 PackedSource& source) {
  Context context = make_context();
  if (!context) return nullptr;
  return std::make_unique<ZstdDecoder>(std::move(map), source, std::move(context));
}

}  // namespace splitring
