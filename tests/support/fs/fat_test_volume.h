// A FAT volume in memory for tests: made, mounted, used by paths, and shown to fsck.fat.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "blkimage/block_device.h"
#include "fs/fat/fat_format.h"
#include "fs/fat/fat_volume.h"

namespace splitring::test {

// Any failure is the test's: these end the process with what went wrong.
class FatTestVolume {
 public:
  explicit FatTestVolume(uint64_t bytes, const FatFormat& format = {}, uint32_t block_bytes = 512);
  FatTestVolume(std::unique_ptr<BlockDevice> disk, const FatOptions& options);
  ~FatTestVolume();

  [[nodiscard]] BlockQueue& lane() { return *lane_; }
  [[nodiscard]] FatVolume& volume() { return *volume_; }
  void mount(const FatOptions& options = {.utc = true});
  void close();

  // Paths from the root, without a slash in front.
  FatNode node(std::string_view path);  // with a reference that is never given back
  FatNode parent_of(std::string_view path, std::string_view& name);
  Result<> put(std::string_view path, std::string_view content);
  void must_put(std::string_view path, std::string_view content);
  std::string get(std::string_view path);  // "<error>" if it cannot be
  Result<> mkdir(std::string_view path);
  Result<> remove(std::string_view path);
  Result<> rmdir(std::string_view path);
  Result<> rename(std::string_view from, std::string_view to,
                  FatVolume::Replace replace = FatVolume::Replace::kAllow);
  bool exists(std::string_view path);
  std::vector<std::string> names(std::string_view path = "");  // sorted
  std::vector<std::string> tree();  // every path, sorted; directories end in '/'

  std::string image();
  // What fsck says of the disk as it is; empty: nothing is wrong.
  std::string fsck();

 private:
  void add_tree(FatNode directory, const std::string& prefix, std::vector<std::string>& out);

  std::unique_ptr<BlockDevice> disk_;
  std::unique_ptr<BlockQueue> lane_;
  std::unique_ptr<FatVolume> volume_;
};

// Runs fsck.fat -n or fsck.exfat -n on an image; empty: no finding.
std::string fsck_fat(std::string_view image);

}  // namespace splitring::test
