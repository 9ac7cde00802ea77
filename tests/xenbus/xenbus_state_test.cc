#include "xenbus/xenbus_state.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace splitring {
namespace {

TEST(XenbusStates, AreWrittenAndReadAsOneDigit) {
  constexpr std::array kStates = {
      XenbusState::kUnknown,     XenbusState::kInitialising,  XenbusState::kInitWait,
      XenbusState::kInitialised, XenbusState::kConnected,     XenbusState::kClosing,
      XenbusState::kClosed,      XenbusState::kReconfiguring, XenbusState::kReconfigured};
  for (size_t i = 0; i < kStates.size(); i++) {
    EXPECT_EQ(to_node(kStates[i]), std::to_string(i));
    EXPECT_EQ(xenbus_state_from(std::to_string(i)), kStates[i]);
    EXPECT_STRNE(to_string(kStates[i]), "");
  }
}

TEST(XenbusStates, B30_WhateverIsNotOneDigitUpToEightIsUnknown) {
  for (const char* node : {"", " 4", "4 ", "-1", "9", "10", "04", "4x", "x", "+4", "\n", "4\n", "/",
                           ":", "0x4", "Connected"})
    EXPECT_EQ(xenbus_state_from(node), XenbusState::kUnknown) << '"' << node << '"';
  EXPECT_EQ(xenbus_state_from(std::string_view("4\0", 2)), XenbusState::kUnknown);
  for (int byte = 0; byte < 256; byte++) {
    const auto character = static_cast<char>(byte);
    if (character > '0' && character <= '8') continue;
    EXPECT_EQ(xenbus_state_from({&character, 1}), XenbusState::kUnknown) << byte;
  }
}

}  // namespace
}  // namespace splitring
