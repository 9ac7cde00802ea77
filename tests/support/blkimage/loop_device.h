// A block device of the kernel's loop driver over a file; gone with this object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "base/units.h"
#include "tests/support/blkimage/scratch_file.h"

namespace splitring {

class LoopDevice {
 public:
  // Throws MachineLacks (tests/support/device_conformance.h) without loop devices or the right to
  // set one up.
  LoopDevice(Sectors capacity, uint32_t block_bytes);
  // Over that file, which the driver holds from then on.
  LoopDevice(int file, uint32_t block_bytes);

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void set_up(int file, uint32_t block_bytes);

  std::optional<ScratchFile> file_;
  UniqueFd device_;  // the driver lets the file go when the last descriptor does
  std::string path_;
};

}  // namespace splitring
