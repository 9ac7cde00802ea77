// What a toolstack does with virtual disks: gives one to a domain, takes it away, lists them.
//
// Nodes, permissions and order are libxl's, so that a backend and a frontend cannot tell us from
// xl. Sources: tools/libs/light/libxl_disk.c (device_disk_add), libxl_device.c
// (libxl__device_generic_add, libxl__initiate_device_generic_remove), 4.17. What libxl's hotplug
// script does at the end, we do: there is nothing to set up on a host that opens images itself.
//
// One thread a Store. All but list_disks() needs the rights of domain 0.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "xenbus/device_path.h"
#include "xenbus/store.h"
#include "xenbus/xenbus_state.h"

namespace splitring::tools {

// libxl's own limits: LIBXL_INIT_TIMEOUT and LIBXL_DESTROY_TIMEOUT.
inline constexpr std::chrono::seconds kInitTimeout{10};
inline constexpr std::chrono::seconds kDestroyTimeout{10};

struct DiskSpec {
  DevicePath path;
  std::string vdev;    // as the guest is told: "xvda"
  std::string target;  // the disk's URI, for the backend
  bool read_only = false;
};

// Writes both directories in one transaction.
// Errors: kNotFound: no such domain; kExists: the device is there already.
Result<> write_disk_nodes(Store& store, const DiskSpec& disk);

// Waits until the backend has taken the device (InitWait or later). Errors: what the backend says
// is wrong; kTimeout.
Result<> wait_for_backend(Store& store, const DevicePath& path, std::chrono::milliseconds timeout);

// Tells backend and frontend that the host's side is set up.
Result<> finish_hotplug(Store& store, const DevicePath& path);

// Asks both ends to let go. Errors: kNotFound: there is no such device.
Result<> ask_to_close(Store& store, const DevicePath& path);
// Errors: kTimeout, with the state of both ends.
Result<> wait_until_closed(Store& store, const DevicePath& path, std::chrono::milliseconds timeout);
// Removes both directories, and the parents that are left empty.
Result<> remove_disk_nodes(Store& store, const DevicePath& path);

struct ListedDisk {
  DevicePath path;
  std::string vdev;
  std::string target;
  bool read_only = false;
  bool online = true;
  XenbusState backend_state = XenbusState::kUnknown;
  XenbusState frontend_state = XenbusState::kUnknown;
  std::string error;  // the backend's last complaint; empty: none
};
// The disks that a domain may know of, by their backends: `reader` is the domain that asks. Domain
// 0 gets those of every backend domain, another one those that it serves itself.
Result<std::vector<ListedDisk>> list_disks(StoreView& store, DomId reader);

// The disk that `frontend` has under that number, whoever serves it; for domain 0 only.
// Errors: kNotFound: none; kPermission: not domain 0.
Result<DevicePath> find_disk(StoreView& store, DomId frontend, uint32_t device);

}  // namespace splitring::tools
