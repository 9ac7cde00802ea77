// Which disk is meant by a name: a program asks for `content`, and a TOML file says what that is
// here, a file on one machine and a disk of the domain's on another.
//
//   [devices]
//   content = "raw:site.tar"
//   uploads = { disk = "vbd:xvda", read_only = true }
//
// Source: mirage-platform's device providers and mirari's configuration kept the two apart in the
// same way. Paths are relative to the file's own directory. Pure but for reading the file.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace splitring::tools {

// A name is 1 to 32 of a-z, 0-9, '-' and '_'; and most of them in one file.
inline constexpr size_t kMaxNamedDevices = 64;

struct NamedDisk {
  std::string name;
  std::string uri;  // of a disk (tools/common/disks.h); its path absolute
  bool read_only = false;
  std::string place;   // "devices.toml:3", for messages
  uint32_t lanes = 1;  // that the program would like; see Disks::open()
};

// Errors: kInvalid, as "devices.toml:3:12: what is wrong and what it should be"; those of reading.
Result<std::vector<NamedDisk>> read_device_config(const std::string& path);

}  // namespace splitring::tools
