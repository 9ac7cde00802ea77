// The headers of a member, as they go into an archive: ustar where that can say it, else a pax
// extended header before it; sparse files in the pax format 1.0. What every tar program of this
// century reads. Pure; callable from any thread. The same facts give the same bytes.
//
// Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual,
// "Storing Sparse Files".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "fs/tar/tar_table.h"

namespace splitring {

struct TarMember {
  std::string path;
  TarKind kind = TarKind::kFile;  // not kSpecial
  uint64_t size = 0;              // of a file, with its holes
  int64_t mtime_s = 0;
  uint32_t mode = 0;  // the permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string user = {};  // may be empty
  std::string group = {};
  std::string link = {};  // of symbolic and hard links
  // Of a sparse file: {first, bytes} of what is not a hole, in order, apart, within `size`.
  bool sparse = false;
  std::vector<std::pair<uint64_t, uint64_t>> data = {};

  // Of the file's bytes in the archive, behind the headers and before the padding.
  [[nodiscard]] uint64_t stored_bytes() const;
};

// Whole blocks; the stored bytes follow, padded to a block. kInvalid: a path or target that no
// index takes (empty, too long).
Result<std::string> encode_tar_headers(const TarMember& member);

}  // namespace splitring
