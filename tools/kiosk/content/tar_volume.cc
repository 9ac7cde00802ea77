#include "tools/kiosk/content/tar_volume.h"

#include "kv/tar_store.h"
#include "tools/common/archive.h"

namespace splitring::kiosk {
namespace {

class TarMount final : public Mount {
 public:
  TarMount(std::shared_ptr<const Volume> volume, std::unique_ptr<BlockQueue> lane,
           const TarFileSystem& tar, http::Loop& loop, http::WorkerMetrics& metrics)
      : volume_(std::move(volume)),
        lane_(std::move(lane)),
        reader_(loop, *lane_, metrics),
        store_(tar, *lane_) {}

  [[nodiscard]] kv::ReadStore& store() override { return store_; }
  [[nodiscard]] LaneReader* reader() override { return &reader_; }

 private:
  std::shared_ptr<const Volume> volume_;
  std::unique_ptr<BlockQueue> lane_;
  LaneReader reader_;
  kv::TarStore store_;
};

}  // namespace

Result<std::shared_ptr<const TarVolume>> TarVolume::open(std::shared_ptr<BlockDevice> disk) {
  // The lane goes before the threads open theirs: a disk may have one only.
  const auto lane = TRY(disk->open_queue({}));
  auto tar = TRY(tools::open_archive(*lane, disk->name()));
  return std::shared_ptr<const TarVolume>(new TarVolume(std::move(disk), std::move(tar)));
}

Result<std::unique_ptr<Mount>> TarVolume::mount(std::shared_ptr<const Volume> self,
                                                http::Loop& loop,
                                                http::WorkerMetrics& metrics) const {
  auto lane = TRY(disk_->open_queue({}));
  auto mount = std::make_unique<TarMount>(std::move(self), std::move(lane), *tar_, loop, metrics);
  TRY_VOID(mount->reader()->open());
  return mount;
}

}  // namespace splitring::kiosk
