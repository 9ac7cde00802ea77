// What the live page and /api/statistics show, at one moment: counters since the beginning, so that
// whoever has two of them knows what happened between. What is not known from here is absent.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/common/named_devices.h"

namespace splitring::kiosk {

struct ServiceFigures {
  uint64_t requests = 0;
  uint64_t sent_bytes = 0;
  uint64_t open_connections = 0;
  std::vector<uint64_t> latency;  // counts below the bounds, each on its own; the last: above all
  uint64_t latency_sum_ns = 0;
};

struct Figures {
  uint64_t time_ms = 0;  // since the kiosk began
  ServiceFigures service;
  std::vector<tools::NamedDevices::Status> disks;
  // What the backend's daemon says of its devices (tools/common/control_client.h); none if it is
  // not asked or does not answer.
  nlohmann::json backend_devices = nlohmann::json::array();
};

// One JSON object. Text that is no UTF-8 has U+FFFD in its place.
[[nodiscard]] nlohmann::ordered_json to_json(const Figures& figures);
[[nodiscard]] std::string to_text(const nlohmann::ordered_json& json);

// What is configured and what is there, without counters.
[[nodiscard]] nlohmann::ordered_json devices_json(
    const std::vector<tools::NamedDevices::Status>& disks);

}  // namespace splitring::kiosk
