#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "tools/common/program.h"
#include "tools/splitringd/report_text.h"

namespace splitring::tools {
namespace {

using backend::CounterValues;
using backend::DeviceReport;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

Labels labels_of(const DeviceReport& device) {
  return {{"domain", std::to_string(raw(device.path.frontend))},
          {"vdev", virtual_device_name(device.path.device)}};
}

Labels with(Labels labels, const char* name, const char* value) {
  labels.push_back({name, value});
  return labels;
}

// One family under construction, filled device by device.
class Family {
 public:
  Family(const char* name, const char* help, MetricType type) : family_{name, help, type, {}} {}

  void counter(Labels labels, uint64_t value) {
    ClientMetric& metric = add(std::move(labels));
    metric.counter.value = static_cast<double>(value);
  }
  void gauge(Labels labels, double value) { add(std::move(labels)).gauge.value = value; }
  void latency(Labels labels, const CounterValues& counters);

  MetricFamily take() { return std::move(family_); }

 private:
  ClientMetric& add(Labels labels) {
    ClientMetric& metric = family_.metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }
  MetricFamily family_;
};

void Family::latency(Labels labels, const CounterValues& counters) {
  ClientMetric::Histogram& histogram = add(std::move(labels)).histogram;
  for (size_t i = 0; i < backend::kLatencyBuckets; i++) {
    histogram.sample_count += counters.latency[i];
    const bool last = i + 1 == backend::kLatencyBuckets;
    histogram.bucket.push_back(
        {histogram.sample_count, last ? std::numeric_limits<double>::infinity()
                                      : static_cast<double>(uint64_t{1} << i) * 1e-6});
  }
  histogram.sample_sum = static_cast<double>(counters.latency_sum_us) * 1e-6;
}

// Counters that are one number a device.
struct PlainCounter {
  const char* name;
  const char* help;
  uint64_t CounterValues::*value;
};

constexpr PlainCounter kPlainCounters[] = {
    {"splitring_grant_errors_total", "Requests failed because a page could not be reached",
     &CounterValues::grant_errors},
    {"splitring_broken_rings_total", "Rings stopped for an impossible producer index",
     &CounterValues::broken_rings},
    {"splitring_wakeups_total", "Times a ring's thread was woken by the frontend",
     &CounterValues::wakeups},
    {"splitring_spurious_wakeups_total", "Wake-ups that found nothing in the ring",
     &CounterValues::spurious_wakeups},
    {"splitring_notifications_total", "Times the frontend was woken",
     &CounterValues::notifications},
    {"splitring_persistent_hits_total", "Pages found mapped", &CounterValues::persistent_hits},
    {"splitring_persistent_misses_total", "Pages mapped and kept",
     &CounterValues::persistent_misses},
    {"splitring_persistent_evictions_total", "Kept pages given up for others",
     &CounterValues::persistent_evictions},
    {"splitring_copied_pages_total", "Pages moved by grant copy", &CounterValues::copied_pages},
    {"splitring_mapped_pages_total", "Pages mapped for one request", &CounterValues::mapped_pages},
};

std::vector<MetricFamily> plain_families(const std::vector<DeviceReport>& devices) {
  std::vector<MetricFamily> families;
  for (const PlainCounter& counter : kPlainCounters) {
    Family family(counter.name, counter.help, MetricType::Counter);
    for (const DeviceReport& device : devices)
      family.counter(labels_of(device), device.counters.*counter.value);
    families.push_back(family.take());
  }
  return families;
}

std::vector<MetricFamily> state_families(const std::vector<DeviceReport>& devices) {
  Family info("splitring_device_info", "What each device is; always 1", MetricType::Gauge);
  Family state("splitring_device_state", "Xenbus state of our end: 4 is connected",
               MetricType::Gauge);
  Family capacity("splitring_device_bytes", "Size of the disk", MetricType::Gauge);
  Family in_flight("splitring_requests_in_flight", "Taken from the ring and not yet answered",
                   MetricType::Gauge);
  for (const DeviceReport& device : devices) {
    const Labels labels = labels_of(device);
    info.gauge(
        with(with(labels, "target", printable(device.target).c_str()), "abi", device.abi.c_str()),
        1);
    state.gauge(labels, static_cast<double>(device.state));
    capacity.gauge(labels, static_cast<double>(device.capacity.bytes()));
    in_flight.gauge(labels, static_cast<double>(device.in_flight));
  }
  return {info.take(), state.take(), capacity.take(), in_flight.take()};
}

std::vector<MetricFamily> request_families(const std::vector<DeviceReport>& devices) {
  Family requests("splitring_requests_total", "Requests answered OKAY", MetricType::Counter);
  Family bytes("splitring_bytes_total", "Bytes of those requests", MetricType::Counter);
  Family errors("splitring_io_errors_total", "Requests that the image failed", MetricType::Counter);
  Family refusals("splitring_refused_requests_total",
                  "Requests that a frontend should not have made", MetricType::Counter);
  Family latency("splitring_request_seconds", "From the ring and back to it",
                 MetricType::Histogram);
  for (const DeviceReport& device : devices) {
    const Labels labels = labels_of(device);
    for (size_t i = 0; i < backend::kWorkCount; i++) {
      const Labels by_work = with(labels, "operation", to_string(static_cast<backend::Work>(i)));
      requests.counter(by_work, device.counters.requests[i]);
      bytes.counter(by_work, device.counters.sectors[i] * kSectorSize);
      errors.counter(by_work, device.counters.io_errors[i]);
    }
    for (size_t i = 1; i < blkif::kRefusalCount; i++)
      refusals.counter(with(labels, "reason", to_string(static_cast<blkif::Refusal>(i))),
                       device.counters.refusals[i]);
    latency.latency(labels, device.counters);
  }
  return {requests.take(), bytes.take(), errors.take(), refusals.take(), latency.take()};
}

}  // namespace

std::string metrics_text(const std::vector<DeviceReport>& devices) {
  std::vector<MetricFamily> families = state_families(devices);
  for (auto more : {request_families(devices), plain_families(devices)})
    families.insert(families.end(), more.begin(), more.end());
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace splitring::tools
