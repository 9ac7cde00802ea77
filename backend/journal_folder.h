// The folder in which the journals of all rings lie, by the names of their devices:
// KIND-GUEST-DEVICE-QUEUE, "vbd-3-51712-0".
#pragma once

#include <cstddef>
#include <filesystem>

#include "base/result.h"
#include "xenbus/device_path.h"
#include "xenbus/store.h"

namespace splitring::backend {

std::filesystem::path journal_path(const std::filesystem::path& folder, const DevicePath& device,
                                   size_t queue);

// Makes the folder, for its owner alone, if it is not there, and removes what nobody will ask for:
// journals of devices whose backend directory (of `backend`) names no journal any more. Files that
// are no journals stay.
Result<> set_up_journals(const std::filesystem::path& folder, StoreView& store, DomId backend);

// Some process has one of the device's journals open.
bool journals_in_use(const std::filesystem::path& folder, const DevicePath& device);

// Of all queues of a device.
void remove_journals(const std::filesystem::path& folder, const DevicePath& device);

}  // namespace splitring::backend
