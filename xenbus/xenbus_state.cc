#include "xenbus/xenbus_state.h"

namespace splitring {

const char* to_string(XenbusState state) {
  switch (state) {
    case XenbusState::kUnknown: return "Unknown";
    case XenbusState::kInitialising: return "Initialising";
    case XenbusState::kInitWait: return "InitWait";
    case XenbusState::kInitialised: return "Initialised";
    case XenbusState::kConnected: return "Connected";
    case XenbusState::kClosing: return "Closing";
    case XenbusState::kClosed: return "Closed";
    case XenbusState::kReconfiguring: return "Reconfiguring";
    case XenbusState::kReconfigured: return "Reconfigured";
  }
  return "Unknown";
}

std::string to_node(XenbusState state) { return std::to_string(static_cast<int>(state)); }

XenbusState xenbus_state_from(std::string_view node) {
  if (node.size() != 1 || node[0] < '0' || node[0] > '8') return XenbusState::kUnknown;
  return static_cast<XenbusState>(node[0] - '0');
}

}  // namespace splitring
