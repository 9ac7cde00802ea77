#include "xenbus/device_path.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace splitring {
namespace {

constexpr uint32_t kExtended = 1U << 28;

// Numbers as Xen's xen-vbd-interface.7 defines them.
const std::vector<std::pair<std::string, uint32_t>> kDevices = {
    {"xvda", 202 << 8},
    {"xvda1", 202 << 8 | 1},
    {"xvdb", 202 << 8 | 16},
    {"xvdb1", 51729},
    {"xvdp15", 202 << 8 | 15 << 4 | 15},
    {"xvdq", kExtended | 16 << 8},
    {"xvdq3", kExtended | 16 << 8 | 3},
    {"xvdz", kExtended | 25 << 8},
    {"xvdaa", kExtended | 26 << 8},
    {"xvdab255", kExtended | 27 << 8 | 255},
    {"xvda16", kExtended | 16},
    {"sda", 8 << 8},
    {"sdb2", 8 << 8 | 16 | 2},
    {"sdp15", 8 << 8 | 255},
    {"hda", 3 << 8},
    {"hdb", 3 << 8 | 64},
    {"hdb63", 3 << 8 | 64 | 63},
    {"hdc", 22 << 8},
    {"hdd1", 22 << 8 | 64 | 1},
};

TEST(VirtualDevice, NamesAndNumbersTranslateBothWays) {
  EXPECT_EQ(virtual_device_number("xvda").value(), 51712U);
  for (const auto& [name, number] : kDevices) {
    const auto translated = virtual_device_number(name);
    ASSERT_TRUE(translated) << name << ": " << translated.error().what;
    EXPECT_EQ(*translated, number) << name;
    EXPECT_EQ(virtual_device_name(number), name);
  }
}

TEST(VirtualDevice, EveryXvdDiskComesBackFromItsName) {
  for (uint32_t disk = 0; disk < 20'000; disk++) {
    const uint32_t number = disk < 16 ? 202U << 8 | disk << 4 : kExtended | disk << 8;
    const auto translated = virtual_device_number(virtual_device_name(number));
    ASSERT_TRUE(translated) << disk;
    ASSERT_EQ(*translated, number) << virtual_device_name(number);
  }
}

TEST(VirtualDevice, ANumberStandsForItself) {
  EXPECT_EQ(virtual_device_number("0").value(), 0U);
  EXPECT_EQ(virtual_device_number("51712").value(), 51712U);
  EXPECT_EQ(virtual_device_number("4294967295").value(), 4294967295U);
}

TEST(VirtualDevice, ANumberOfNoKnownKindIsWrittenAsOne) {
  for (const uint32_t number : {0U, 1U, 9U << 8, 22U << 8 | 128, 1U << 29 | kExtended, ~0U})
    EXPECT_EQ(virtual_device_name(number), std::to_string(number));
}

TEST(VirtualDevice, WhatIsNoDeviceIsRefused) {
  for (const char* name :
       {"", " ", "xvd", "xvd1", "xvdA", "xvda-1", "xvda 1", "xvda1x", "xvda256", "xvdaaaaa", "sdq",
        "sda16", "hde", "hda64", "vda", "-1", "4294967296", "xvda99999999999999999999", "XVDA"})
    EXPECT_FALSE(virtual_device_number(name)) << '"' << name << '"';
}

TEST(DevicePath, SpellsBothDirectories) {
  const DevicePath path = {
      .kind = "vbd", .backend = DomId{0}, .frontend = DomId{7}, .device = 51712};
  EXPECT_EQ(path.backend_directory(), "/local/domain/0/backend/vbd/7/51712");
  EXPECT_EQ(path.frontend_directory(), "/local/domain/7/device/vbd/51712");
  const DevicePath other = {
      .kind = "splitring", .backend = DomId{3}, .frontend = DomId{7}, .device = 0};
  EXPECT_EQ(other.backend_directory(), "/local/domain/3/backend/splitring/7/0");
  EXPECT_EQ(other.frontend_directory(), "/local/domain/7/device/vbd/0");
  EXPECT_NE(path, other);
}

}  // namespace
}  // namespace splitring
