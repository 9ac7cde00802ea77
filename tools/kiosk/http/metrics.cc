#include "tools/kiosk/http/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

namespace splitring::http {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily made;
  made.name = name;
  made.help = help;
  made.type = type;
  return made;
}

MetricFamily single(const char* name, const char* help, uint64_t value, bool gauge = false) {
  MetricFamily made = family(name, help, gauge ? MetricType::Gauge : MetricType::Counter);
  ClientMetric metric;
  (gauge ? metric.gauge.value : metric.counter.value) = static_cast<double>(value);
  made.metric.push_back(std::move(metric));
  return made;
}

}  // namespace

void WorkerMetrics::count_request(unsigned status, std::chrono::nanoseconds latency_ns) {
  const auto* const known = std::find(kStatuses.begin(), kStatuses.end(), status);
  if (known != kStatuses.end()) requests[static_cast<size_t>(known - kStatuses.begin())].add();
  const auto* const bound =
      std::lower_bound(kLatencyBounds.begin(), kLatencyBounds.end(), latency_ns);
  latency[static_cast<size_t>(bound - kLatencyBounds.begin())].add();
  latency_sum_ns.add(static_cast<uint64_t>(latency_ns.count()));
}

WorkerMetrics& Metrics::add_worker() {
  const std::lock_guard lock(mutex_);
  return workers_.emplace_back();
}

Metrics::Totals Metrics::totals() const {
  const std::lock_guard lock(mutex_);
  Totals totals;
  for (const WorkerMetrics& worker : workers_) {
    for (size_t i = 0; i < totals.latency.size(); i++)
      totals.latency[i] += worker.latency[i].value();
    for (const Counter& requests : worker.requests) totals.requests += requests.value();
    totals.sent_bytes += worker.sent_bytes.value();
    totals.latency_sum_ns += worker.latency_sum_ns.value();
    // In this order, so that there are never more closed than were opened.
    totals.closed_connections += worker.closed_connections.value();
    totals.connections += worker.connections.value();
  }
  return totals;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  const auto sum = [&](auto&& take) {
    uint64_t total = 0;
    for (const WorkerMetrics& worker : workers_) total += take(worker).value();
    return total;
  };
  std::vector<MetricFamily> families;
  MetricFamily requests =
      family("kiosk_requests_total", "Requests answered, by status.", MetricType::Counter);
  for (size_t i = 0; i < kStatuses.size(); i++) {
    ClientMetric metric;
    metric.label.push_back({"code", std::to_string(kStatuses[i])});
    metric.counter.value =
        static_cast<double>(sum([&](auto& w) -> const Counter& { return w.requests[i]; }));
    requests.metric.push_back(std::move(metric));
  }
  families.push_back(std::move(requests));

  MetricFamily latency =
      family("kiosk_request_seconds", "From a request's head to the end of its answer.",
             MetricType::Histogram);
  ClientMetric histogram;
  uint64_t below = 0;
  for (size_t i = 0; i <= kLatencyBounds.size(); i++) {
    below += sum([&](auto& w) -> const Counter& { return w.latency[i]; });
    if (i == kLatencyBounds.size()) continue;
    histogram.histogram.bucket.push_back(
        {below, std::chrono::duration<double>(kLatencyBounds[i]).count()});
  }
  histogram.histogram.sample_count = below;
  histogram.histogram.sample_sum =
      static_cast<double>(sum([](auto& w) -> const Counter& { return w.latency_sum_ns; })) / 1e9;
  latency.metric.push_back(std::move(histogram));
  families.push_back(std::move(latency));

  const uint64_t opened = sum([](auto& w) -> const Counter& { return w.connections; });
  const uint64_t closed = sum([](auto& w) -> const Counter& { return w.closed_connections; });
  const auto add = [&](const char* name, const char* help, const Counter WorkerMetrics::*counter) {
    families.push_back(
        single(name, help, sum([&](auto& w) -> const Counter& { return w.*counter; })));
  };
  add("kiosk_sent_bytes_total", "Bytes written to clients.", &WorkerMetrics::sent_bytes);
  add("kiosk_disk_reads_total", "Reads of the disk.", &WorkerMetrics::disk_reads);
  add("kiosk_disk_read_bytes_total", "Bytes read from the disk.", &WorkerMetrics::disk_read_bytes);
  add("kiosk_disk_read_errors_total", "Reads that failed.", &WorkerMetrics::disk_read_errors);
  add("kiosk_connections_total", "Connections accepted.", &WorkerMetrics::connections);
  add("kiosk_timeouts_total", "Connections closed for being slow.", &WorkerMetrics::timeouts);
  families.push_back(single("kiosk_connections_open", "Connections open now.",
                            opened - std::min(opened, closed), true));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace splitring::http
