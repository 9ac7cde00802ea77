// Pages that the kiosk makes itself: a directory's listing, and what a person sees instead of one
// that is not there. They need nothing but themselves: no script, no font, no picture.
//
// Every name on them was written by the maker of the archive or by a client, and is escaped here.
// Pure; callable from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace splitring::http {

// Content-Security-Policy of all pages here: they load nothing and run nothing.
inline constexpr std::string_view kOwnPagePolicy = "default-src 'none'; style-src 'unsafe-inline'";

struct ListedEntry {
  std::string name;  // without a path
  bool is_directory = false;
  uint64_t size = 0;
  int64_t mtime_s = 0;  // 0: not known
};

// Most entries that one page lists.
inline constexpr size_t kMaxListed = 10'000;

// `path` as in the archive: the root is empty. Directories come first, then by name, as given.
// `unlisted`: how many more there are.
[[nodiscard]] std::string directory_page(std::string_view path,
                                         std::span<const ListedEntry> entries, size_t unlisted);

// `detail` may be anything; it is escaped.
[[nodiscard]] std::string message_page(unsigned status, std::string_view title,
                                       std::string_view detail);

}  // namespace splitring::http
