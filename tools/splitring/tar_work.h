// What extracting and verifying share: which entries, in order, and how far they are.
#pragma once

#include "tools/splitring/tar_extract.h"

namespace splitring::tools {

inline constexpr size_t kTarReadBytes = size_t{1} << 20;

// Whether an entry is one of `paths` or below one; every entry is below none.
[[nodiscard]] bool is_wanted(const TarEntry& entry, const std::vector<std::string>& paths);

class TarWorker {
 public:
  explicit TarWorker(const TarWork& work) : work_(work), buffer_(kTarReadBytes) {}

  // Calls `take` with each wanted entry. Its errors end the work if the archive's disk failed, and
  // are complaints otherwise.
  Result<TarTally> run(const std::function<Result<>(const TarEntry&)>& take);
  // Hands out a file's data, holes left out, in pieces.
  Result<> read(const TarEntry& file,
                const std::function<Result<>(uint64_t at, std::span<const std::byte>)>& take);
  void complain(const std::string& what);

  [[nodiscard]] const TarTally& tally() const { return tally_; }

 private:
  const TarWork& work_;
  std::vector<std::byte> buffer_;
  TarTally tally_;
  uint64_t total_bytes_ = 0;
  bool disk_failed_ = false;
};

// Bytes of a file that are not holes.
[[nodiscard]] uint64_t data_bytes(const TarEntry& file);

}  // namespace splitring::tools
