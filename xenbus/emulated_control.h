// A toolstack's way to an emulated host's hypervisor, by its directory.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "grant/emulated_control.h"

namespace splitring {

Result<EmulatedControl> open_emulated_control(const std::filesystem::path& directory);

}  // namespace splitring
