// How a virtual disk is called: by a person ("xvda"), by a number, and by its two directories.
//
// Sources: Xen's docs/man/xen-vbd-interface.7 (numbers), libxl_device.c (directories).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grant/types.h"

namespace splitring {

// "xvda" -> 51712, "xvdb1" -> 51729, "hda", "sda"; a plain number stands for itself.
Result<uint32_t> virtual_device_number(std::string_view name);
// 51712 -> "xvda". A number of no known kind is written as a number.
std::string virtual_device_name(uint32_t number);

// A device, as both of its directories spell it.
struct DevicePath {
  std::string kind = "vbd";  // of the backend's directory; the frontend's is always vbd
  DomId backend{};
  DomId frontend{};
  uint32_t device = 0;

  bool operator==(const DevicePath&) const = default;
  [[nodiscard]] std::string backend_directory() const;   // /local/domain/B/backend/KIND/F/DEV
  [[nodiscard]] std::string frontend_directory() const;  // /local/domain/F/device/vbd/DEV
};

}  // namespace splitring
