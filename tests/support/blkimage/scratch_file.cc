#include "tests/support/blkimage/scratch_file.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "base/unique_fd.h"

namespace splitring {

ScratchFile::ScratchFile(Where where, Sectors size) {
  const std::string folder =
      where == Where::kMemory
          ? "/dev/shm"
          : std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  path_ = folder + "/splitring-test-XXXXXX";
  const UniqueFd fd(::mkstemp(path_.data()));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size.bytes())) != 0)
    throw std::runtime_error("cannot make " + path_);
}

ScratchFile::~ScratchFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace splitring
