// A device that refuses every change. It guards against our own mistakes; what must not be written
// at all is opened read-only below as well (B20).
#pragma once

#include <memory>

#include "blkimage/block_device.h"

namespace splitring {

std::unique_ptr<BlockDevice> make_read_only(std::unique_ptr<BlockDevice> below);

}  // namespace splitring
