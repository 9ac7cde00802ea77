// Entries of an archive to a directory of the host, and entries compared with one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fs/tar/tar_file_system.h"
#include "tools/splitring/tar_place.h"

namespace splitring::tools {

struct TarWork {
  const TarFileSystem& tar;
  BlockQueue& lane;
  std::vector<std::string> paths;  // with all that lies below; none: everything
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress;
  std::function<void(const std::string&)> complain;  // about an entry; the work goes on
};

struct TarTally {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t complaints = 0;
};

// Makes them below `place`. Devices and pipes are left out, with a complaint; hard links become
// hard links again. Errors: the archive's disk; kNotFound if nothing has one of the paths.
Result<TarTally> extract_tar(const TarWork& work, const TarPlace& place);
// Reads every byte of them; with a `place` each must be there as the archive has it: kind, bytes,
// target, mode, time to the second.
Result<TarTally> verify_tar(const TarWork& work, const TarPlace* place);

}  // namespace splitring::tools
