#include "tools/kiosk/content/content_tag.h"

#include <xxhash.h>

#include <array>
#include <cstdio>

namespace splitring::kiosk {

std::string content_tag(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  std::array<char, 40> text;
  std::snprintf(text.data(), text.size(), "\"%016llx%016llx\"",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text.data();
}

}  // namespace splitring::kiosk
