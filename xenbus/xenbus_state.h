// The states that both ends of a split device go through, and how they are written in the store.
//
// Source: xen/include/public/io/xenbus.h (enum xenbus_state).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace splitring {

enum class XenbusState : uint8_t {
  kUnknown = 0,  // no node, or nothing that is a state
  kInitialising = 1,
  kInitWait = 2,
  kInitialised = 3,
  kConnected = 4,
  kClosing = 5,
  kClosed = 6,
  kReconfiguring = 7,
  kReconfigured = 8,
};

const char* to_string(XenbusState state);
// "4". What the store holds.
std::string to_node(XenbusState state);
// Strict: one digit, 0 to 8; everything else is kUnknown (B30).
XenbusState xenbus_state_from(std::string_view node);

}  // namespace splitring
