// A device of guest 1 on a live Backend as a toolstack, or another backend, sees it: its nodes.
#pragma once

#include <string>

#include "backend/handover.h"
#include "tests/backend/live_device.h"

namespace splitring::backend {

struct HandedOver {
  explicit HandedOver(LiveBackend& backend) : live(backend) {}
  std::string node(const std::string& name) {
    return live.read(path.backend_directory() + "/" + name);
  }
  void write(const std::string& name, const std::string& value) {
    live.write(path.backend_directory() + "/" + name, value);
  }
  bool answered() {
    return live.wait_for(path.backend_directory() + "/" + kHandoverNode,
                         [](const std::string& value) { return value.empty(); });
  }

  LiveBackend& live;
  DevicePath path = LiveBackend::path();
};

}  // namespace splitring::backend
