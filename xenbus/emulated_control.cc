#include "xenbus/emulated_control.h"

#include "xenbus/emulated_paths.h"

namespace splitring {

Result<EmulatedControl> open_emulated_control(const std::filesystem::path& directory) {
  return EmulatedControl::open(emulated_hypervisor_socket(directory, DomId{0}));
}

}  // namespace splitring
