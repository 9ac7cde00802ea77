#include "tools/kiosk/observe/figures.h"

#include "frontend/lane_slot.h"

namespace splitring::kiosk {
namespace {

using Json = nlohmann::ordered_json;
using Status = tools::NamedDevices::Status;
using State = tools::NamedDevices::State;

const char* to_string(State state) {
  switch (state) {
    case State::kWaiting: return "waiting";
    case State::kPlugged: return "plugged";
    case State::kGone: return "gone";
  }
  return "unknown";
}

Json stats_json(const IoStats& stats) {
  IoStats::PerOperation all;
  for (const auto& operation : stats.operations) all.add(operation);
  const auto& reads = stats.of(Operation::kRead);
  const auto& writes = stats.of(Operation::kWrite);
  return {{"reads", reads.completed()}, {"writes", writes.completed()},
          {"read_bytes", reads.bytes},  {"write_bytes", writes.bytes},
          {"errors", all.failed()},     {"busy_ns", all.total_ns},
          {"latency", all.latency}};
}

Json ring_json(const frontend::DiskStatistics& ring) {
  // One page of a ring holds 32 requests, and each doubling twice as many.
  constexpr uint64_t kSlotsOfAPage = 32;
  return {{"phase", to_string(ring.phase)},
          {"error", ring.last_error},
          {"lanes", ring.lanes},
          {"pages", ring.ring_pages},
          {"slots", kSlotsOfAPage * ring.ring_pages * ring.lanes},
          {"requests", ring.ring_requests},
          {"notifications", ring.notifications},
          {"wakeups", ring.wakeups},
          {"reconnects", ring.reconnects}};
}

// The daemon is ours, but what answers on a socket need not be: every field is looked at.
uint64_t number(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}
std::string text(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
nlohmann::json object(const nlohmann::json& parent, const char* name) {
  const auto found = parent.find(name);
  return found != parent.end() && found->is_object() ? *found : nlohmann::json::object();
}
uint64_t sum(const nlohmann::json& counts) {
  uint64_t total = 0;
  for (const auto& [name, count] : counts.items()) total += number(counts, name.c_str());
  return total;
}

Json backend_json(const nlohmann::json& device) {
  constexpr size_t kMaxBuckets = 64;
  const nlohmann::json counters = object(device, "counters");
  Json latency = Json::array();
  if (const auto buckets = counters.find("latency_buckets");
      buckets != counters.end() && buckets->is_array() && buckets->size() <= kMaxBuckets) {
    for (const auto& bucket : *buckets)
      latency.push_back(bucket.is_number_unsigned() ? bucket.get<uint64_t>() : 0);
  }
  const auto persistent = device.find("persistent_grants");
  return {{"state", text(device, "state")},
          {"error", text(device, "error")},
          {"target", text(device, "target")},
          {"queues", number(device, "queues")},
          {"ring_pages", number(device, "ring_pages")},
          {"persistent_grants", persistent != device.end() && *persistent == true},
          {"in_flight", number(device, "in_flight")},
          {"requests", sum(object(counters, "requests"))},
          {"bytes", sum(object(counters, "sectors")) * kSectorSize},
          {"io_errors", sum(object(counters, "io_errors"))},
          {"refusals", sum(object(counters, "refusals"))},
          {"latency", latency}};
}

Json backend_of(const Status& disk, const nlohmann::json& devices) {
  if (disk.backend_directory.empty() || !devices.is_array()) return nullptr;
  for (const auto& device : devices) {
    if (device.is_object() && text(device, "backend_directory") == disk.backend_directory)
      return backend_json(device);
  }
  return nullptr;
}

Json device_json(const Status& disk) {
  return {{"name", disk.name},
          {"uri", disk.uri},
          {"state", to_string(disk.state)},
          {"error", disk.error},
          {"capacity_bytes", disk.capacity.bytes()},
          {"read_only", disk.read_only}};
}

}  // namespace

Json to_json(const Figures& figures) {
  Json disks = Json::array();
  for (const Status& disk : figures.disks) {
    Json json = device_json(disk);
    const bool is_there = disk.state == State::kPlugged;
    json["stats"] = is_there ? stats_json(disk.stats) : Json(nullptr);
    json["ring"] = disk.ring ? ring_json(*disk.ring) : Json(nullptr);
    json["backend"] = backend_of(disk, figures.backend_devices);
    disks.push_back(std::move(json));
  }
  const ServiceFigures& service = figures.service;
  return {{"type", "sample"},
          {"t", figures.time_ms},
          {"http",
           {{"requests", service.requests},
            {"bytes", service.sent_bytes},
            {"open", service.open_connections},
            {"latency", service.latency},
            {"latency_sum_ns", service.latency_sum_ns}}},
          {"disks", std::move(disks)}};
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json devices_json(const std::vector<Status>& disks) {
  Json array = Json::array();
  for (const Status& disk : disks) array.push_back(device_json(disk));
  return array;
}

}  // namespace splitring::kiosk
