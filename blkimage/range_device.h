// A window onto a device, such as a partition of it.
#pragma once

#include <memory>

#include "blkimage/block_device.h"

namespace splitring {

// kInvalid: the window is empty, does not lie in the device, or does not start and end with a
// block. If the device shrinks later, refresh_capacity() cuts the window.
Result<std::unique_ptr<BlockDevice>> make_range(std::unique_ptr<BlockDevice> below, Sectors first,
                                                Sectors length);

}  // namespace splitring
