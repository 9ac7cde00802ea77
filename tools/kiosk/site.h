// What the kiosk answers: from a request's head to a finished response head and what follows it.
// No sockets, no disk and no HTTP library in here: only decisions.
//
// Routes, first match wins: /metrics; a file of the archive; a directory of it (its index.html,
// else a listing); a page that says no. Names are looked up in the archive's index; nothing that a
// client sends becomes a path on the host (H1).
//
// Immutable: any number of threads may share a Site.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "fs/tar/tar_file_system.h"

namespace splitring::kiosk {

// What the kiosk takes note of in a request; an absent header is empty.
struct Request {
  std::string_view method = {};
  std::string_view target = {};
  std::string_view if_none_match = {};
  std::string_view if_modified_since = {};
  std::string_view range = {};
  std::string_view if_range = {};
};

// Bytes of the disk that the response's body is.
struct FileSlice {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct Reply {
  unsigned status = 0;
  // Status line and headers, each ended; the server adds those of the connection and the empty
  // line.
  std::string head;
  std::string body;  // empty for HEAD, or if `file` is the body
  std::optional<FileSlice> file;
};

class Site {
 public:
  // `tar` outlives the site. `metrics` makes the page at /metrics; thread-safe.
  Site(const TarFileSystem& tar, std::function<std::string()> metrics)
      : tar_(tar), metrics_(std::move(metrics)) {}

  [[nodiscard]] Reply answer(const Request& request) const;
  // For a request that could not be understood, or not be served.
  [[nodiscard]] static Reply refuse(unsigned status, bool head_only = false);

 private:
  [[nodiscard]] Reply answer_path(const Request& request, std::string_view path,
                                  std::string_view query, bool wants_directory) const;
  [[nodiscard]] Reply file(const Request& request, const TarEntry& entry) const;
  [[nodiscard]] Reply directory(const Request& request, const TarEntry& entry) const;

  const TarFileSystem& tar_;
  std::function<std::string()> metrics_;
};

}  // namespace splitring::kiosk
