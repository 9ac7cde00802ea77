#include "tools/kiosk/content/compress.h"

#include <zlib.h>
#include <zstd.h>

namespace splitring::kiosk {
namespace {

constexpr int kZstdLevel = 6;
constexpr int kGzipLevel = 5;
constexpr int kGzipWindow = 15 + 16;  // zlib.h: 16 more for a gzip header
constexpr int kGzipMemory = 8;        // zlib's default

std::optional<std::string> zstd(std::span<const std::byte> bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) return std::nullopt;
  out.resize(size);
  return out;
}

std::optional<std::string> gzip(std::span<const std::byte> bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kGzipWindow, kGzipMemory, Z_DEFAULT_STRATEGY) !=
      Z_OK)
    return std::nullopt;
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return done ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

bool is_compressible(std::string_view type) {
  return type.starts_with("text/") || type.starts_with("application/json") ||
         type.starts_with("image/svg") || type.starts_with("application/wasm") ||
         type.starts_with("application/toml") || type.starts_with("application/yaml") ||
         type.starts_with("image/bmp") || type.starts_with("font/ttf") ||
         type.starts_with("font/otf");
}

Coding coding_to_make(const CodingChoice& choice) {
  for (size_t i = 0; i < choice.count; i++)
    if (choice.order[i] != Coding::kBrotli) return choice.order[i];
  return Coding::kIdentity;
}

std::optional<std::string> compress(Coding coding, std::span<const std::byte> bytes) {
  if (coding != Coding::kZstd && coding != Coding::kGzip) return std::nullopt;
  auto out = coding == Coding::kZstd ? zstd(bytes) : gzip(bytes);
  if (out && out->size() > bytes.size() - bytes.size() / 10) return std::nullopt;
  return out;
}

}  // namespace splitring::kiosk
