#include "tools/kiosk/http/metrics.h"

#include <gtest/gtest.h>

namespace splitring::http {
namespace {

TEST(HttpMetrics, AddUpOverTheWorkers) {
  Metrics metrics;
  WorkerMetrics& one = metrics.add_worker();
  WorkerMetrics& two = metrics.add_worker();
  one.count_request(200, std::chrono::microseconds(30));
  two.count_request(200, std::chrono::seconds(5));
  two.count_request(404, std::chrono::microseconds(25));
  one.sent_bytes.add(1000);
  one.connections.add(3);
  one.closed_connections.add(1);
  const std::string text = metrics.text();
  for (const char* line :
       {"kiosk_requests_total{code=\"200\"} 2\n", "kiosk_requests_total{code=\"404\"} 1\n",
        "kiosk_requests_total{code=\"500\"} 0\n", "kiosk_request_seconds_count 3\n",
        "kiosk_request_seconds_bucket{le=\"2.5e-05\"} 1\n",
        "kiosk_request_seconds_bucket{le=\"1\"} 2\n",
        "kiosk_request_seconds_bucket{le=\"+Inf\"} 3\n", "kiosk_sent_bytes_total 1000\n",
        "kiosk_connections_open 2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace splitring::http
