// Where a site's content lies: a volume that all threads share, a mount of it for each thread, and
// the slot that holds the volume of the moment.
//
// A volume may be replaced while the site is served. Whoever has a mount of the old one finishes
// with it; the old disk is closed when the last of them has.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "kv/read_store.h"
#include "tools/kiosk/content/lane_reader.h"

namespace splitring::kiosk {

class Volume;

// One thread's view of a volume.
class Mount {
 public:
  Mount() = default;
  virtual ~Mount() = default;
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  [[nodiscard]] virtual kv::ReadStore& store() = 0;
  // For values that lie on a disk. Null: none do.
  [[nodiscard]] virtual LaneReader* reader() { return nullptr; }
};

// Thread-safe and immutable.
class Volume {
 public:
  virtual ~Volume() = default;
  // For messages: "raw:site.tar".
  [[nodiscard]] virtual std::string name() const = 0;
  // The mount keeps `self`, this volume, alive.
  virtual Result<std::unique_ptr<Mount>> mount(std::shared_ptr<const Volume> self, http::Loop& loop,
                                               http::WorkerMetrics& metrics) const = 0;
  // Differs between any two volumes: what tells their files apart where nothing else does.
  [[nodiscard]] uint64_t serial() const { return serial_; }

 protected:
  Volume();

 private:
  uint64_t serial_;
};

// Thread-safe.
class VolumeSlot {
 public:
  VolumeSlot() = default;
  explicit VolumeSlot(std::shared_ptr<const Volume> volume) { put(std::move(volume)); }

  // Null: there is none at the moment.
  void put(std::shared_ptr<const Volume> volume);
  [[nodiscard]] std::shared_ptr<const Volume> get() const;
  // `call` runs after every put(), on its thread, until unsubscribe(), which waits for it. It must
  // not ask the slot for anything.
  uint64_t subscribe(std::function<void()> call) const;
  void unsubscribe(uint64_t subscription) const;
  // Changes with every put(); cheap enough to ask for each request.
  [[nodiscard]] uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  std::atomic<uint64_t> generation_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const Volume> volume_;
  mutable std::mutex subscribers_mutex_;
  mutable std::map<uint64_t, std::function<void()>> subscribers_;
  mutable uint64_t last_subscription_ = 0;
};

}  // namespace splitring::kiosk
