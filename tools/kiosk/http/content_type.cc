#include "tools/kiosk/http/content_type.h"

#include <algorithm>
#include <array>
#include <string>

namespace splitring::http {
namespace {

struct Type {
  std::string_view extension;
  std::string_view type;
};

// In the order of the extensions. Source: IANA's registry of media types.
constexpr std::array kTypes = {
    Type{"7z", "application/x-7z-compressed"},
    Type{"aac", "audio/aac"},
    Type{"avif", "image/avif"},
    Type{"bmp", "image/bmp"},
    Type{"bz2", "application/x-bzip2"},
    Type{"c", "text/plain; charset=utf-8"},
    Type{"cc", "text/plain; charset=utf-8"},
    Type{"conf", "text/plain; charset=utf-8"},
    Type{"cpp", "text/plain; charset=utf-8"},
    Type{"css", "text/css; charset=utf-8"},
    Type{"csv", "text/csv; charset=utf-8"},
    Type{"eot", "application/vnd.ms-fontobject"},
    Type{"epub", "application/epub+zip"},
    Type{"flac", "audio/flac"},
    Type{"gif", "image/gif"},
    Type{"gz", "application/gzip"},
    Type{"h", "text/plain; charset=utf-8"},
    Type{"hpp", "text/plain; charset=utf-8"},
    Type{"htm", "text/html; charset=utf-8"},
    Type{"html", "text/html; charset=utf-8"},
    Type{"ico", "image/x-icon"},
    Type{"jpeg", "image/jpeg"},
    Type{"jpg", "image/jpeg"},
    Type{"js", "text/javascript; charset=utf-8"},
    Type{"json", "application/json"},
    Type{"log", "text/plain; charset=utf-8"},
    Type{"map", "application/json"},
    Type{"md", "text/markdown; charset=utf-8"},
    Type{"mjs", "text/javascript; charset=utf-8"},
    Type{"mp3", "audio/mpeg"},
    Type{"mp4", "video/mp4"},
    Type{"oga", "audio/ogg"},
    Type{"ogg", "audio/ogg"},
    Type{"ogv", "video/ogg"},
    Type{"opus", "audio/opus"},
    Type{"otf", "font/otf"},
    Type{"pdf", "application/pdf"},
    Type{"png", "image/png"},
    Type{"py", "text/plain; charset=utf-8"},
    Type{"rst", "text/plain; charset=utf-8"},
    Type{"sh", "text/plain; charset=utf-8"},
    Type{"svg", "image/svg+xml"},
    Type{"tar", "application/x-tar"},
    Type{"tif", "image/tiff"},
    Type{"tiff", "image/tiff"},
    Type{"toml", "application/toml"},
    Type{"ttf", "font/ttf"},
    Type{"txt", "text/plain; charset=utf-8"},
    Type{"wasm", "application/wasm"},
    Type{"wav", "audio/wav"},
    Type{"webm", "video/webm"},
    Type{"webp", "image/webp"},
    Type{"woff", "font/woff"},
    Type{"woff2", "font/woff2"},
    Type{"xhtml", "application/xhtml+xml"},
    Type{"xml", "text/xml; charset=utf-8"},
    Type{"xz", "application/x-xz"},
    Type{"yaml", "application/yaml"},
    Type{"yml", "application/yaml"},
    Type{"zip", "application/zip"},
    Type{"zst", "application/zstd"},
};
static_assert(std::is_sorted(kTypes.begin(), kTypes.end(), [](const Type& a, const Type& b) {
  return a.extension < b.extension;
}));

// The names that trees of documentation give to texts without an extension.
constexpr std::array<std::string_view, 9> kTexts = {"AUTHORS", "COPYING", "ChangeLog",
                                                    "INSTALL", "LICENSE", "Makefile",
                                                    "NEWS",    "README",  "copyright"};

}  // namespace

std::string_view content_type(std::string_view name) {
  constexpr std::string_view kUnknown = "application/octet-stream";
  name = name.substr(name.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) {
    const bool is_text = std::find(kTexts.begin(), kTexts.end(), name) != kTexts.end();
    return is_text ? "text/plain; charset=utf-8" : kUnknown;
  }
  std::string extension(name.substr(dot + 1));
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto* const found = std::lower_bound(
      kTypes.begin(), kTypes.end(), extension,
      [](const Type& type, const std::string& wanted) { return type.extension < wanted; });
  return found != kTypes.end() && found->extension == extension ? found->type : kUnknown;
}

}  // namespace splitring::http
