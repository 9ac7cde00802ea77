#include "tools/kiosk/content/volume.h"

#include <random>

namespace splitring::kiosk {

Volume::Volume() {
  std::random_device entropy;
  serial_ = uint64_t{entropy()} << 32 | entropy();
}

void VolumeSlot::put(std::shared_ptr<const Volume> volume) {
  {
    const std::lock_guard lock(mutex_);
    volume_.swap(volume);
  }
  generation_.fetch_add(1, std::memory_order_release);
  const std::lock_guard lock(subscribers_mutex_);
  for (const auto& [id, call] : subscribers_) call();
}

uint64_t VolumeSlot::subscribe(std::function<void()> call) const {
  const std::lock_guard lock(subscribers_mutex_);
  subscribers_.emplace(++last_subscription_, std::move(call));
  return last_subscription_;
}

void VolumeSlot::unsubscribe(uint64_t subscription) const {
  const std::lock_guard lock(subscribers_mutex_);
  subscribers_.erase(subscription);
}

std::shared_ptr<const Volume> VolumeSlot::get() const {
  const std::lock_guard lock(mutex_);
  return volume_;
}

}  // namespace splitring::kiosk
