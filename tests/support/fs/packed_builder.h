// Compressed files made by hand: what libzstd and zlib write, put together in ways that no program
// would.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitring::test {

// One zstd frame, with or without its length in its header.
std::string zstd_frame(std::string_view content, bool says_length = true);
// A skippable frame.
std::string zstd_skippable(std::string_view content);
// The table of a seekable file whose frames have these {packed, unpacked} sizes.
std::string zstd_seek_table(const std::vector<std::pair<uint32_t, uint32_t>>& frames);
// Frames of `frame_bytes` each, and a seek table.
std::string zstd_seekable(std::string_view content, size_t frame_bytes);
// One gzip member.
std::string gzip_member(std::string_view content);

// Text that compresses, different at every place.
std::string compressible_text(size_t bytes);

}  // namespace splitring::test
