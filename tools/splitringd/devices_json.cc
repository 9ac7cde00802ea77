#include <nlohmann/json.hpp>

#include "tools/splitringd/report_text.h"

namespace splitring::tools {
namespace {

using backend::CounterValues;
using backend::DeviceReport;
using Json = nlohmann::ordered_json;

Json by_work(const std::array<uint64_t, backend::kWorkCount>& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < counts.size(); i++)
    json[to_string(static_cast<backend::Work>(i))] = counts[i];
  return json;
}

// Without "none": what was not refused is not here.
Json by_refusal(const std::array<uint64_t, blkif::kRefusalCount>& counts) {
  Json json = Json::object();
  for (size_t i = 1; i < counts.size(); i++)
    json[to_string(static_cast<blkif::Refusal>(i))] = counts[i];
  return json;
}

Json counters_json(const CounterValues& counters) {
  return {
      {"requests", by_work(counters.requests)},
      {"sectors", by_work(counters.sectors)},
      {"io_errors", by_work(counters.io_errors)},
      {"refusals", by_refusal(counters.refusals)},
      {"grant_errors", counters.grant_errors},
      {"broken_rings", counters.broken_rings},
      {"wakeups", counters.wakeups},
      {"spurious_wakeups", counters.spurious_wakeups},
      {"notifications", counters.notifications},
      {"persistent_hits", counters.persistent_hits},
      {"persistent_misses", counters.persistent_misses},
      {"persistent_evictions", counters.persistent_evictions},
      {"copied_pages", counters.copied_pages},
      {"mapped_pages", counters.mapped_pages},
      // Bucket i holds what took less than 2^i microseconds and not less than 2^(i-1).
      {"latency_buckets", counters.latency},
      {"latency_sum_us", counters.latency_sum_us},
  };
}

Json device_json(const DeviceReport& device) {
  return {
      {"backend_directory", device.path.backend_directory()},
      {"domain", raw(device.path.frontend)},
      {"vdev", virtual_device_name(device.path.device)},
      {"target", device.target},
      {"state", to_string(device.state)},
      {"error", device.error},
      {"read_only", device.read_only},
      {"sectors", device.capacity.count},
      {"block_bytes", device.block_bytes},
      {"queues", device.queues},
      {"ring_pages", device.ring_pages},
      {"persistent_grants", device.persistent_grants},
      {"abi", device.abi},
      {"in_flight", device.in_flight},
      {"steps", device.steps},
      {"counters", counters_json(device.counters)},
  };
}

}  // namespace

std::string devices_json(const std::vector<DeviceReport>& devices) {
  Json array = Json::array();
  for (const DeviceReport& device : devices) array.push_back(device_json(device));
  // A target or an ABI is what somebody wrote: bytes that are no UTF-8 are replaced.
  return array.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace splitring::tools
