// The disks that a program asks for by name, opened when they are there and taken back when they
// go: a disk that is attached while the program runs is plugged, one that is detached unplugged.
//
//   auto devices = TRY(NamedDevices::start(config, host, {}));
//   auto content = TRY(devices->wait_for("content", stop.fd()));   // now, or when it appears
//
// What passes through each of them is counted. A thread of its own looks after them; handlers run
// there, one at a time, and may take their time. What cannot be opened is said in the log and tried
// again when something about it changes, or, if somebody else has it, now and then. Another disk
// that takes a name's place (a file renamed over the old one) is an unplug and a plug. A file that
// is written to in place is the same disk until reload().
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

  // What is there already has been plugged when it returns. `other_virtual_disks`: how many more
  // the program opens itself; all of them share what the domain may grant. Errors: watching for it
  // is not possible here (no host that answers, for a vbd:).
  static Result<std::unique_ptr<NamedDevices>> start(std::vector<NamedDisk> disks,
                                                     const HostOptions& host, Handlers handlers,
                                                     unsigned other_virtual_disks = 0);
  ~NamedDevices();
  NamedDevices(const NamedDevices&) = delete;
  NamedDevices& operator=(const NamedDevices&) = delete;

  // Blocks until it is plugged. kNotFound: the configuration has no such name, or no longer;
  // kClosed: `stop_fd` became readable.
  Result<std::shared_ptr<BlockDevice>> wait_for(const std::string& name, int stop_fd);
  [[nodiscard]] std::vector<Status> status() const;
  // How many share what the domain may grant, those of other programs counted in.
  [[nodiscard]] unsigned virtual_disks() const;
  // From now on these, soon: names that are no longer there, or mean another disk, are unplugged,
  // new ones are plugged; and files that were written to since they were plugged are both.
  void reload(std::vector<NamedDisk> disks);

 private:
  struct Device {
    NamedDisk config;
    DiskUri uri;                   // what is watched: below the compression, if there is one
    DeviceWatch* watch = nullptr;  // null: always there
    std::string identity;          // of what is plugged,
    std::string version;           // and when
    std::shared_ptr<StatsDevice> disk;
    const frontend::Disk* ring = nullptr;  // what the disk counts for, if it is one
    bool was_plugged = false;
    bool is_tried_again = false;  // after a pause, whatever is heard
    std::string error;
  };

  NamedDevices(HostOptions host, Handlers handlers, unsigned other_virtual_disks);
  Result<> add(NamedDisk disk);
  void run();
  void take_reload();
  void look_at_all();
  void look_at(Device& device);
  void plug(Device& device, const Presence& presence);
  void unplug(Device& device);
  void note(Device& device, const std::string& error);
  bool wait_for_change();

  const HostOptions host_;
  const unsigned other_virtual_disks_;
  Disks disks_;
  Handlers handlers_;
  std::unique_ptr<DeviceWatch> files_;
  std::unique_ptr<DeviceWatch> store_;
  UniqueFd stop_;    // eventfds
  UniqueFd reload_;  // something is in new_disks_
  mutable std::mutex mutex_;
  std::vector<Device> devices_;                      // written by thread_ alone, under mutex_
  std::optional<std::vector<NamedDisk>> new_disks_;  // guarded by mutex_
  std::vector<int> waiters_;                         // eventfds of wait_for(); guarded by mutex_
  std::thread thread_;
};

}  // namespace splitring::tools
