// A tar archive on a disk, as a volume.
#pragma once

#include "blkimage/block_device.h"
#include "fs/tar/tar_file_system.h"
#include "tools/kiosk/content/volume.h"

namespace splitring::kiosk {

class TarVolume final : public Volume {
 public:
  // Reads the headers. Errors: the disk's, and the archive's if it is none.
  static Result<std::shared_ptr<const TarVolume>> open(std::shared_ptr<BlockDevice> disk);

  [[nodiscard]] std::string name() const override { return disk_->name(); }
  [[nodiscard]] const TarFileSystem& tar() const { return *tar_; }
  [[nodiscard]] BlockDevice& disk() const { return *disk_; }
  // Errors: kLimit when the disk has no more lanes.
  Result<std::unique_ptr<Mount>> mount(std::shared_ptr<const Volume> self, http::Loop& loop,
                                       http::WorkerMetrics& metrics) const override;

 private:
  TarVolume(std::shared_ptr<BlockDevice> disk, std::unique_ptr<TarFileSystem> tar)
      : disk_(std::move(disk)), tar_(std::move(tar)) {}

  std::shared_ptr<BlockDevice> disk_;
  std::unique_ptr<TarFileSystem> tar_;
};

}  // namespace splitring::kiosk
