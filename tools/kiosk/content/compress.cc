#include "tools/kiosk/content/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>

namespace splitring::kiosk {
namespace {

constexpr int kZstdLevel = 6;
constexpr int kGzipLevel = 5;
constexpr int kGzipWindow = 15 + 16;  // zlib.h: 16 more for a gzip header
constexpr int kGzipMemory = 8;        // zlib's default

constexpr size_t kRoom = size_t{16} << 10;  // that the output grows by

class ZstdCompression final : public Compression {
 public:
  ZstdCompression(std::string bytes, ZSTD_CCtx* context)
      : Compression(std::move(bytes)), context_(context) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setPledgedSrcSize(context, original().size());
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  bool add(std::span<const std::byte> slice, bool is_last, std::string& out) override {
    ZSTD_inBuffer in{slice.data(), slice.size(), 0};
    size_t rest = 1;
    while (rest != 0) {
      const size_t before = out.size();
      out.resize(before + kRoom);
      ZSTD_outBuffer to{out.data() + before, kRoom, 0};
      // Flushed, else it would gather slices and compress several at once.
      rest = ZSTD_compressStream2(context_.get(), &to, &in, is_last ? ZSTD_e_end : ZSTD_e_flush);
      out.resize(before + to.pos);
      if (ZSTD_isError(rest) != 0) return false;
    }
    return true;
  }

  const std::unique_ptr<ZSTD_CCtx, Free> context_;
};

class GzipCompression final : public Compression {
 public:
  explicit GzipCompression(std::string bytes) : Compression(std::move(bytes)) {
    is_open_ = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindow, kGzipMemory,
                            Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipCompression() override {
    if (is_open_) deflateEnd(&stream_);
  }

 private:
  bool add(std::span<const std::byte> slice, bool is_last, std::string& out) override {
    if (!is_open_) return false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(slice.data()));
    stream_.avail_in = static_cast<uInt>(slice.size());
    do {
      const size_t before = out.size();
      out.resize(before + kRoom);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream_.avail_out = kRoom;
      const int status = deflate(&stream_, is_last ? Z_FINISH : Z_NO_FLUSH);
      out.resize(out.size() - stream_.avail_out);
      if (status == Z_STREAM_ERROR) return false;
    } while (stream_.avail_out == 0);
    return true;
  }

  z_stream stream_{};
  bool is_open_ = false;
};

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

std::unique_ptr<Compression> Compression::begin(Coding coding, std::string bytes) {
  if (coding == Coding::kGzip) return std::make_unique<GzipCompression>(std::move(bytes));
  if (coding != Coding::kZstd) return nullptr;
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  if (context == nullptr) return nullptr;
  return std::make_unique<ZstdCompression>(std::move(bytes), context);
}

bool Compression::step() {
  const auto rest = original().subspan(taken_);
  const auto slice = rest.first(std::min(rest.size(), kCompressedAtOnce));
  taken_ += slice.size();
  const bool is_last = taken_ == bytes_.size();
  failed_ = failed_ || !add(slice, is_last, out_);
  return is_last || failed_;
}

const std::string* Compression::smaller() const {
  const bool pays = !failed_ && out_.size() <= bytes_.size() - bytes_.size() / 10;
  return pays ? &out_ : nullptr;
}

}  // namespace splitring::kiosk
