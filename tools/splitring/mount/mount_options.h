// What -o says, as mount(8) would take it.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace splitring::tools {

struct MountOptions {
  bool read_only = false;
  bool others = false;  // allow_other: also who did not mount it
  bool utc = false;     // of FAT: times on the disk are UTC
  bool discard = false;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  // Bits that no file, or no directory, has. Of FAT, which keeps no modes, the process's umask
  // unless they are given.
  std::optional<mode_t> file_mask;
  std::optional<mode_t> directory_mask;
  std::vector<std::string> kernel;  // what the kernel understands: "noatime"

  // kInvalid: an option that is none, with those that are.
  Result<> add(std::string_view list);
};

}  // namespace splitring::tools
