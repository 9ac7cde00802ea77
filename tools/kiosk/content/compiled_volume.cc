#include "tools/kiosk/content/compiled_volume.h"

namespace splitring::kiosk {
namespace {

class CompiledMount final : public Mount {
 public:
  explicit CompiledMount(std::unique_ptr<kv::CompiledStore> store) : store_(std::move(store)) {}
  [[nodiscard]] kv::ReadStore& store() override { return *store_; }

 private:
  std::unique_ptr<kv::CompiledStore> store_;
};

}  // namespace

Result<std::shared_ptr<const CompiledVolume>> CompiledVolume::open(std::string name,
                                                                   const unsigned char* image) {
  TRY(kv::CompiledStore::load(image));
  return std::shared_ptr<const CompiledVolume>(new CompiledVolume(std::move(name), image));
}

Result<std::unique_ptr<Mount>> CompiledVolume::mount(std::shared_ptr<const Volume> /*self*/,
                                                     http::Loop& /*loop*/,
                                                     http::WorkerMetrics& /*metrics*/) const {
  return std::make_unique<CompiledMount>(TRY(kv::CompiledStore::load(image_)));
}

}  // namespace splitring::kiosk
