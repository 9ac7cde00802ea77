#include "tools/kiosk/observe/look.h"

#include <spdlog/spdlog.h>

#include "tools/common/control_client.h"
#include "tools/common/program.h"

namespace splitring::kiosk {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kAskAgain{5};

// The daemon, asked no more often than it answers.
class BackendQuestion {
 public:
  explicit BackendQuestion(std::filesystem::path socket) : socket_(std::move(socket)) {}

  nlohmann::json ask() {
    if (Clock::now() < next_) return nlohmann::json::array();
    auto devices = tools::fetch_devices(socket_);
    if (devices) {
      said_.clear();
      return std::move(*devices);
    }
    next_ = Clock::now() + kAskAgain;
    if (said_ != devices.error().what) {
      said_ = devices.error().what;
      spdlog::warn("no figures of the backend: {}", tools::printable(said_));
    }
    return nlohmann::json::array();
  }

 private:
  const std::filesystem::path socket_;
  Clock::time_point next_;
  std::string said_;
};

}  // namespace

ServiceFigures service_figures(const http::Metrics& metrics) {
  const http::Metrics::Totals totals = metrics.totals();
  return {.requests = totals.requests,
          .sent_bytes = totals.sent_bytes,
          .open_connections = totals.connections - totals.closed_connections,
          .latency = {totals.latency.begin(), totals.latency.end()},
          .latency_sum_ns = totals.latency_sum_ns};
}

std::vector<uint64_t> latency_bounds_us() {
  std::vector<uint64_t> bounds;
  for (const std::chrono::microseconds bound : http::kLatencyBounds)
    bounds.push_back(static_cast<uint64_t>(bound.count()));
  return bounds;
}

LiveFeed::Look make_look(const tools::NamedDevices& devices, const http::Metrics& metrics,
                         std::optional<std::filesystem::path> backend_control) {
  const auto backend =
      backend_control ? std::make_shared<BackendQuestion>(std::move(*backend_control)) : nullptr;
  return [&devices, &metrics, backend, began = Clock::now()] {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    return Figures{.time_ms = static_cast<uint64_t>(age.count()),
                   .service = service_figures(metrics),
                   .disks = devices.status(),
                   .backend_devices = backend ? backend->ask() : nlohmann::json::array()};
  };
}

}  // namespace splitring::kiosk
