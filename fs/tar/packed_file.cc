#include "fs/tar/packed_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/tar/file_bytes.h"

namespace splitring {
namespace {

constexpr std::array<uint8_t, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
constexpr std::array<uint8_t, 2> kGzipMagic = {0x1f, 0x8b};

class StoredDecoder final : public PackedDecoder {
 public:
  explicit StoredDecoder(std::shared_ptr<const PackedMap> map)
      : map_(std::move(map)), input_(*map_) {}
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
  const std::shared_ptr<const PackedMap> map_;
  PackedInput input_;
};

// Skippable frames begin a zstd file too (pzstd writes one).
bool is_skippable(std::span<const uint8_t> start) {
  return start.size() >= 4 && (start[0] & 0xf0) == 0x50 && start[1] == 0x2a && start[2] == 0x4d &&
         start[3] == 0x18;
}

}  // namespace

Result<PackedFormat> detect_packed_format(int fd) {
  std::array<uint8_t, 4> start{};
  const ssize_t got = ::pread(fd, start.data(), start.size(), 0);
  if (got < 0) return fail_errno("reading", errno);
  const std::span<const uint8_t> there(start.data(), static_cast<size_t>(got));
  if (std::ranges::equal(there, kZstdMagic) || is_skippable(there)) return PackedFormat::kZstd;
  if (there.size() >= 2 && std::ranges::equal(there.first(2), kGzipMagic))
    return PackedFormat::kGzip;
  return PackedFormat::kStored;
}

Result<std::shared_ptr<const PackedMap>> map_packed_file(UniqueFd file, PackedFormat format,
                                                         const PackedLimits& limits) {
  const off_t end = ::lseek(file.get(), 0, SEEK_END);
  if (end < 0) return fail_errno("its length", errno);
  auto map = std::make_shared<PackedMap>();
  map->format = format;
  map->file = std::move(file);
  map->packed_bytes = static_cast<uint64_t>(end);
  switch (format) {
    case PackedFormat::kStored:
      map->unpacked_bytes = map->packed_bytes;
      map->points.emplace_back();
      return map;
    case PackedFormat::kZstd: TRY_VOID(map_zstd(*map, limits)); break;
    case PackedFormat::kGzip: TRY_VOID(map_gzip(*map, limits)); break;
  }
  for (size_t i = 0; i < map->points.size(); i++) {
    const uint64_t run = map->end_of(i) - map->points[i].unpacked;
    if (run > limits.run_bytes)
      return fail(Errc::kLimit,
                  "one frame of " + std::to_string(run) +
                      " bytes cannot be read at random: compress it in smaller frames (pzstd), or "
                      "decompress it");
  }
  return map;
}

Result<std::unique_ptr<PackedDecoder>> make_packed_decoder(std::shared_ptr<const PackedMap> map) {
  std::unique_ptr<PackedDecoder> decoder;
  switch (map->format) {
    case PackedFormat::kStored: decoder = std::make_unique<StoredDecoder>(std::move(map)); break;
    case PackedFormat::kZstd: decoder = make_zstd_decoder(std::move(map)); break;
    case PackedFormat::kGzip: decoder = make_gzip_decoder(std::move(map)); break;
  }
  if (!decoder) return fail(Errc::kLimit, "out of memory for a decompressor");
  return decoder;
}

Result<std::span<const std::byte>> PackedInput::get() {
  if (!here_.empty() || next_ >= map_.packed_bytes) return here_;
  const size_t bytes = std::min<uint64_t>(buffer_.size(), map_.packed_bytes - next_);
  TRY_VOID(read_file_bytes(map_.file.get(), next_, std::span(buffer_).first(bytes)));
  next_ += bytes;
  here_ = std::span(buffer_).first(bytes);
  return here_;
}

Result<bool> only_zeroes_from(const PackedMap& map, uint64_t offset) {
  PackedInput input(map);
  input.seek(offset);
  while (true) {
    const auto here = TRY(input.get());
    if (here.empty()) return true;
    if (!std::ranges::all_of(here, [](std::byte b) { return b == std::byte{0}; })) return false;
    input.consume(here.size());
  }
}

}  // namespace splitring
