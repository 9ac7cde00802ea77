// A file that lives as long as this object, in memory (/dev/shm) or in the build's own folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"

namespace splitring {

class ScratchFile {
 public:
  enum class Where : uint8_t {
    kMemory,  // /dev/shm, a tmpfs
    kDisk,    // the folder of the test binary: a file system with a medium below
  };
  ScratchFile(Where where, Sectors size);
  ScratchFile(ScratchFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace splitring
