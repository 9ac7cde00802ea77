// gzip: deflate has no places to begin at, so one pass keeps what is needed to begin at some of its
// block boundaries: the 32 KiB before and the bits left over. The pass checks the checksums.
#include <zlib.h>

#include <algorithm>
#include <optional>

#include "blkimage/packed_file.h"

namespace splitring {
namespace {

constexpr int kGzip = 15 + 16;  // window bits; with header and checksum
constexpr int kRaw = -15;
constexpr uint64_t kTrailerBytes = 8;
constexpr uint64_t kFirstSpan = uint64_t{1} << 20;
constexpr size_t kOutBytes = size_t{128} << 10;

tl::unexpected<Error> damaged(const z_stream& stream, int status) {
  if (status == Z_MEM_ERROR) return fail(Errc::kLimit, "out of memory for a decompressor");
  return fail(Errc::kInvalid, std::string("damaged gzip file: ") +
                                  (stream.msg != nullptr ? stream.msg : "it ends too early"));
}

// A z_stream with an owner, reading a source. Never moved: zlib points back at it.
class Inflater {
 public:
  explicit Inflater(PackedSource& source) : source_(source), input_(source) {}
  ~Inflater() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  Result<> begin(uint64_t offset, int window_bits) {
    const int status =
        ready_ ? ::inflateReset2(&stream_, window_bits) : ::inflateInit2(&stream_, window_bits);
    if (status != Z_OK) return damaged(stream_, status);
    ready_ = true;
    raw_ = window_bits == kRaw;
    next_member_.reset();
    input_.seek(offset);
    return {};
  }

  // Begins within a member.
  Result<> begin(const PackedPoint& point) {
    if (!point.window) return begin(point.packed, kGzip);
    TRY_VOID(begin(point.packed - (point.bits != 0 ? 1 : 0), kRaw));
    if (point.bits != 0) {
      const auto here = TRY(input_.get());
      if (here.empty()) return damaged(stream_, Z_DATA_ERROR);
      ::inflatePrime(&stream_, point.bits, static_cast<int>(here[0]) >> (8 - point.bits));
      input_.consume(1);
    }
    const auto& window = *point.window;
    if (window.empty()) return {};
    const int status = ::inflateSetDictionary(
        &stream_, reinterpret_cast<const Bytef*>(window.data()), static_cast<uInt>(window.size()));
    return status == Z_OK ? Result<>() : damaged(stream_, status);
  }

  struct Step {
    size_t bytes = 0;
    bool block_end = false;  // and not the last block of a member
    bool member_end = false;
  };
  // `flush` Z_BLOCK stops at block boundaries. Behind a member: go_on() first.
  Result<Step> inflate(std::span<std::byte> out, int flush) {
    const auto here = TRY(input_.get());
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(here.data()));
    stream_.avail_in = static_cast<uInt>(here.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int status = ::inflate(&stream_, flush);
    const size_t taken = here.size() - stream_.avail_in;
    Step step{.bytes = out.size() - stream_.avail_out};
    input_.consume(taken);
    if (status == Z_BUF_ERROR && taken == 0 && step.bytes == 0) return damaged(stream_, status);
    if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END)
      return damaged(stream_, status);
    step.member_end = status == Z_STREAM_END;
    if (step.member_end) next_member_ = input_.offset() + (raw_ ? kTrailerBytes : 0);
    step.block_end =
        status == Z_OK && (stream_.data_type & 128) != 0 && (stream_.data_type & 64) == 0;
    return step;
  }

  // From the end of a member on, to the next one: nothing to do within one. False: there is none.
  Result<bool> go_on() {
    if (!next_member_) return true;
    if (*next_member_ >= source_.bytes()) return false;
    TRY_VOID(begin(*next_member_, kGzip));
    return true;
  }
  // Precondition: a member has ended.
  [[nodiscard]] Result<bool> is_followed_by_padding() {
    std::array<std::byte, 1> next{};  // most are followed by another one
    if (*next_member_ < source_.bytes()) TRY_VOID(source_.read(*next_member_, next));
    return next[0] == std::byte{0} && TRY(is_padding_from(source_, *next_member_));
  }

  [[nodiscard]] uint64_t offset() const { return input_.offset(); }
  [[nodiscard]] uint8_t bits() const { return static_cast<uint8_t>(stream_.data_type & 7); }
  Result<std::shared_ptr<const std::vector<std::byte>>> window() {
    std::vector<std::byte> window(kGzipWindowBytes);
    uInt bytes = 0;
    const int status =
        ::inflateGetDictionary(&stream_, reinterpret_cast<Bytef*>(window.data()), &bytes);
    if (status != Z_OK) return damaged(stream_, status);
    window.resize(bytes);
    return std::make_shared<const std::vector<std::byte>>(std::move(window));
  }

 private:
  PackedSource& source_;
  PackedInput input_;
  std::optional<uint64_t> next_member_;  // would begin here: the last one has ended
  z_stream stream_{};
  bool ready_ = false;
  bool raw_ = false;
};

class GzipDecoder final : public PackedDecoder {
 public:
  GzipDecoder(std::shared_ptr<const PackedMap> map, PackedSource& source)
      : map_(std::move(map)), inflater_(source) {}

  Result<> restart(size_t point) override { return inflater_.begin(map_->points[point]); }
  Result<size_t> next(std::span<std::byte> out) override {
    while (TRY(inflater_.go_on())) {
      const auto step = TRY(inflater_.inflate(out, Z_NO_FLUSH));
      if (step.bytes != 0) return step.bytes;
    }
    return size_t{0};
  }

 private:
  const std::shared_ptr<const PackedMap> map_;
  Inflater inflater_;
};

void thin_out(std::vector<PackedPoint>& points) {
  size_t kept = 0;
  for (size_t i = 0; i < points.size(); i += 2) points[kept++] = std::move(points[i]);
  points.resize(kept);
}

}  // namespace

Result<> map_gzip(PackedMap& map, PackedSource& source, const PackedLimits& limits) {
  Inflater inflater(source);
  TRY_VOID(inflater.begin(0, kGzip));
  map.points.emplace_back();
  std::vector<std::byte> out(kOutBytes);
  uint64_t span = kFirstSpan;
  while (TRY(inflater.go_on())) {
    const auto step = TRY(inflater.inflate(out, Z_BLOCK));
    map.unpacked_bytes += step.bytes;
    if (map.unpacked_bytes > limits.measured_bytes)
      return fail(Errc::kLimit, "more than " + std::to_string(limits.measured_bytes) +
                                    " bytes would have to be decompressed to open it: decompress "
                                    "it, or use zstd");
    if (step.member_end && TRY(inflater.is_followed_by_padding())) break;
    if (!step.block_end || map.unpacked_bytes - map.points.back().unpacked < span) continue;
    map.points.push_back({.unpacked = map.unpacked_bytes,
                          .packed = inflater.offset(),
                          .bits = inflater.bits(),
                          .window = TRY(inflater.window())});
    if (map.points.size() < kMaxGzipPoints) continue;
    thin_out(map.points);
    span *= 2;
  }
  return {};
}

std::unique_ptr<PackedDecoder> make_gzip_decoder(std::shared_ptr<const PackedMap> map,
                                                 PackedSource& source) {
  return std::make_unique<GzipDecoder>(std::move(map), source);
}

}  // namespace splitring
