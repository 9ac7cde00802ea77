#include "tests/support/fs/packed_builder.h"

#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <random>

namespace splitring::test {
namespace {

std::string le32_text(uint32_t value) {
  std::string text;
  for (int i = 0; i < 4; i++) text += static_cast<char>(value >> (8 * i));
  return text;
}

}  // namespace

std::string zstd_frame(std::string_view content, bool says_length) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                   ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, says_length ? 1 : 0);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(content.size()), '\0');
  packed.resize(
      ZSTD_compress2(context.get(), packed.data(), packed.size(), content.data(), content.size()));
  return packed;
}

std::string zstd_skippable(std::string_view content) {
  return le32_text(0x184d2a53) + le32_text(static_cast<uint32_t>(content.size())) +
         std::string(content);
}

std::string zstd_seek_table(const std::vector<std::pair<uint32_t, uint32_t>>& frames) {
  std::string entries;
  for (const auto& [packed, unpacked] : frames) entries += le32_text(packed) + le32_text(unpacked);
  entries += le32_text(static_cast<uint32_t>(frames.size())) + '\0' + le32_text(0x8f92eab1);
  return le32_text(0x184d2a5e) + le32_text(static_cast<uint32_t>(entries.size())) + entries;
}

std::string zstd_seekable(std::string_view content, size_t frame_bytes) {
  std::string file;
  std::vector<std::pair<uint32_t, uint32_t>> frames;
  for (; !content.empty(); content.remove_prefix(std::min(frame_bytes, content.size()))) {
    const std::string_view part = content.substr(0, frame_bytes);
    const std::string frame = zstd_frame(part);
    frames.emplace_back(frame.size(), part.size());
    file += frame;
  }
  return file + zstd_seek_table(frames);
}

std::string gzip_member(std::string_view content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string compressible_text(size_t bytes) {
  std::mt19937 random(9);
  std::string text;
  while (text.size() < bytes)
    text += "line " + std::to_string(text.size()) + " of " + std::to_string(random() % 1000) + "\n";
  text.resize(bytes);
  return text;
}

}  // namespace splitring::test
