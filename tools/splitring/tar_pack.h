// What of the host's tree goes into an archive: a list first, so that the size of the archive is
// known before a byte of it is written; then headers and bytes, in that order.
//
// Symbolic links are packed as links, never followed. Sockets, devices and pipes are left out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fs/tar/tar_encode.h"
#include "fs/tar/tar_output.h"

namespace splitring::tools {

struct PackOptions {
  std::string directory = ".";     // which the paths start from
  std::vector<std::string> paths;  // files and directories, these with all that lies below
  // The same tree gives the same archive on any machine and day: no owners, times of
  // $SOURCE_DATE_EPOCH (reproducible-builds.org; 0 without it), modes 0644 and 0755.
  bool reproducible = false;
};

struct PackList {
  struct Item {
    std::string source;  // on the host
    TarMember member;
  };
  std::vector<Item> items;  // of a directory by name, before what lies in it
  std::vector<std::string> left_out;
  uint64_t file_bytes = 0;
  // Bytes of headers and bodies together.
  uint64_t archive_bytes = 0;
};

Result<PackList> list_for_packing(const PackOptions& options);

// Appends a list to an archive. `advance` is told of bytes as they are read. Returns the number of
// files that became shorter or went while they were read: zeroes stand for what is missing.
Result<uint64_t> pack(const PackList& list, TarOutput& output,
                      const std::function<void(uint64_t)>& advance);

}  // namespace splitring::tools
