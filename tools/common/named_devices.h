// The disks that a program asks for by name, opened when they are there and taken back when they
// go: a disk that is attached while the program runs is plugged, one that is detached unplugged.
//
//   auto devices = TRY(NamedDevices::start(config, host, {}));
//   auto content = TRY(devices->wait_for("content", stop.fd()));   // now, or when it appears
//
// What passes through each of them is counted. A thread of its own looks after them; handlers run
// there, one at a time, and may take their time. What cannot be opened is said in the log and tried
// again when something about it changes. Another disk that takes a name's place (a file renamed
// over the old one) is an unplug and a plug.
//
// Thread-safe. Devices are shared: who still holds one that was unplugged holds a disk that fails.
// All must have been let go before this goes.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "blkimage/block_device.h"
#include "blkimage/stats_device.h"
#include "frontend/disk.h"
#include "tools/common/device_config.h"
#include "tools/common/device_watch.h"
#include "tools/common/disks.h"

namespace splitring::tools {

class NamedDevices {
 public:
  struct Handlers {
    std::function<void(const std::string& name, const std::shared_ptr<BlockDevice>& disk)> plugged;
    // Let go of it here.
    std::function<void(const std::string& name)> unplugged;
  };
  enum class State : uint8_t { kWaiting, kPlugged, kGone };  // gone: it was there before
  struct Status {
    std::string name;
    std::string uri;
    State state = State::kWaiting;
    std::string error;  // why it is not there, if there is more to say
    // While it is plugged:
    Sectors capacity;
    bool read_only = false;
    IoStats stats;                                 // since then
    std::optional<frontend::DiskStatistics> ring;  // of a disk behind one
    std::string backend_directory;                 // and who serves it, in the store
  };

  // What is there already has been plugged when it returns. Errors: watching for it is not
  // possible here (no host that answers, for a vbd:).
  static Result<std::unique_ptr<NamedDevices>> start(std::vector<NamedDisk> disks,
                                                     const HostOptions& host, Handlers handlers);
  ~NamedDevices();
  NamedDevices(const NamedDevices&) = delete;
  NamedDevices& operator=(const NamedDevices&) = delete;

  // Blocks until it is plugged. kNotFound: the configuration has no such name; kClosed: `stop_fd`
  // became readable.
  Result<std::shared_ptr<BlockDevice>> wait_for(const std::string& name, int stop_fd);
  [[nodiscard]] std::vector<Status> status() const;

 private:
  struct Device {
    NamedDisk config;
    DiskUri uri;                   // what is watched: below the compression, if there is one
    DeviceWatch* watch = nullptr;  // null: always there
    std::string identity;          // of what is plugged
    std::shared_ptr<StatsDevice> disk;
    const frontend::Disk* ring = nullptr;  // what the disk counts for, if it is one
    bool was_plugged = false;
    std::string error;
  };

  NamedDevices(HostOptions host, Handlers handlers);
  Result<> add(NamedDisk disk, const HostOptions& host);
  void run();
  void look_at_all();
  void look_at(Device& device);
  void plug(Device& device, const Presence& presence);
  void unplug(Device& device);
  void note(Device& device, const std::string& error);
  bool wait_for_change();

  Disks disks_;
  Handlers handlers_;
  std::unique_ptr<DeviceWatch> files_;
  std::unique_ptr<DeviceWatch> store_;
  UniqueFd stop_;  // an eventfd
  mutable std::mutex mutex_;
  // Their number and configuration stay as they are after start(). The rest is written by thread_
  // alone, under mutex_.
  std::vector<Device> devices_;
  std::vector<int> waiters_;  // eventfds of wait_for(); guarded by mutex_
  std::thread thread_;
};

}  // namespace splitring::tools
