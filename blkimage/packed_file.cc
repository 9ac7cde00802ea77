#include "blkimage/packed_file.h"

#include <algorithm>

namespace splitring {
namespace {

constexpr std::array<uint8_t, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
constexpr std::array<uint8_t, 2> kGzipMagic = {0x1f, 0x8b};

class StoredDecoder final : public PackedDecoder {
 public:
  explicit StoredDecoder(PackedSource& source) : input_(source) {}
  Result<> restart(size_t) override {
    input_.seek(0);
    return {};
  }
  Result<size_t> next(std::span<std::byte> out) override {
    const auto here = TRY(input_.get());
    const size_t bytes = std::min(here.size(), out.size());
    std::ranges::copy(here.first(bytes), out.begin());
    input_.consume(bytes);
    return bytes;
  }

 private:
  PackedInput input_;
};

// Skippable frames begin a zstd file too (pzstd writes one).
bool is_skippable(std::span<const uint8_t> start) {
  return start.size() >= 4 && (start[0] & 0xf0) == 0x50 && start[1] == 0x2a && start[2] == 0x4d &&
         start[3] == 0x18;
}

}  // namespace

Result<PackedFormat> detect_packed_format(PackedSource& source) {
  std::array<uint8_t, 4> start{};
  const auto there =
      std::span<const uint8_t>(start).first(std::min<uint64_t>(start.size(), source.bytes()));
  TRY_VOID(source.read(0, std::as_writable_bytes(std::span(start)).first(there.size())));
  if (std::ranges::equal(there, kZstdMagic) || is_skippable(there)) return PackedFormat::kZstd;
  if (there.size() >= 2 && std::ranges::equal(there.first(2), kGzipMagic))
    return PackedFormat::kGzip;
  return PackedFormat::kStored;
}

Result<std::shared_ptr<const PackedMap>> map_packed_file(PackedSource& source, PackedFormat format,
                                                         const PackedLimits& limits) {
  auto map = std::make_shared<PackedMap>();
  map->format = format;
  map->packed_bytes = source.bytes();
  switch (format) {
    case PackedFormat::kStored:
      map->unpacked_bytes = map->packed_bytes;
      map->points.emplace_back();
      return map;
    case PackedFormat::kZstd: TRY_VOID(map_zstd(*map, source, limits)); break;
    case PackedFormat::kGzip: TRY_VOID(map_gzip(*map, source, limits)); break;
  }
  TRY_VOID(check_runs(*map, limits));
  return map;
}

Result<> check_runs(const PackedMap& map, const PackedLimits& limits) {
  if (map.format == PackedFormat::kStored) return {};
  for (size_t i = 0; i < map.points.size(); i++) {
    const uint64_t run = map.end_of(i) - map.points[i].unpacked;
    if (run > limits.run_bytes)
      return fail(Errc::kLimit,
                  "one frame of " + std::to_string(run) +
                      " bytes cannot be read at random: compress it in smaller frames (pzstd), or "
                      "decompress it");
  }
  return {};
}

Result<std::unique_ptr<PackedDecoder>> make_packed_decoder(std::shared_ptr<const PackedMap> map,
                                                           PackedSource& source) {
  std::unique_ptr<PackedDecoder> decoder;
  switch (map->format) {
    case PackedFormat::kStored: decoder = std::make_unique<StoredDecoder>(source); break;
    case PackedFormat::kZstd: decoder = make_zstd_decoder(std::move(map), source); break;
    case PackedFormat::kGzip: decoder = make_gzip_decoder(std::move(map), source); break;
  }
  if (!decoder) return fail(Errc::kLimit, "out of memory for a decompressor");
  return decoder;
}

Result<std::span<const std::byte>> PackedInput::get() {
  if (!here_.empty() || next_ >= source_.bytes()) return here_;
  // Up to a multiple of the buffer, so that sequential reads of a disk are of one window each.
  const uint64_t most = buffer_.size() - next_ % buffer_.size();
  const size_t bytes = std::min<uint64_t>(most, source_.bytes() - next_);
  TRY_VOID(source_.read(next_, std::span(buffer_).first(bytes)));
  next_ += bytes;
  here_ = std::span(buffer_).first(bytes);
  return here_;
}

Result<bool> is_padding_from(PackedSource& source, uint64_t offset) {
  PackedInput input(source);
  input.seek(offset);
  for (uint64_t looked_at = 0; looked_at < kLookedAtPadding;) {
    const auto here = TRY(input.get());
    if (here.empty()) return true;
    if (!std::ranges::all_of(here, [](std::byte b) { return b == std::byte{0}; })) return false;
    looked_at += here.size();
    input.consume(here.size());
  }
  return true;
}

}  // namespace splitring
