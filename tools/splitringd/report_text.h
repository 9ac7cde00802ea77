// What the daemon tells of its devices, in the two forms that others read.
#pragma once

#include <string>
#include <vector>

#include "backend/report.h"

namespace splitring::tools {

// For Prometheus: text exposition format 0.0.4.
std::string metrics_text(const std::vector<backend::DeviceReport>& devices);

// For `splitring list` and scripts: a JSON array, an object each device.
std::string devices_json(const std::vector<backend::DeviceReport>& devices);

}  // namespace splitring::tools
