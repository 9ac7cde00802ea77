// Where the figures come from: the server's counters, the devices', and, if a control socket is
// given, what the backend's daemon says (it can be asked only where it runs: on an emulated host,
// or in its own domain).
#pragma once

#include <filesystem>
#include <optional>

#include "tools/kiosk/http/metrics.h"
#include "tools/kiosk/observe/live_feed.h"

namespace splitring::kiosk {

[[nodiscard]] ServiceFigures service_figures(const http::Metrics& metrics);
// Upper bounds of their latencies, in microseconds.
[[nodiscard]] std::vector<uint64_t> latency_bounds_us();

// What it refers to outlives the result, which is for one thread. A daemon that does not answer is
// asked again after some seconds.
[[nodiscard]] LiveFeed::Look make_look(const tools::NamedDevices& devices,
                                       const http::Metrics& metrics,
                                       std::optional<std::filesystem::path> backend_control);

}  // namespace splitring::kiosk
