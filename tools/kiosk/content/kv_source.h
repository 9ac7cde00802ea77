// A key-value store below a path of the kiosk: GET, PUT, DELETE of /route/KEY, and lists as JSON.
//
//   GET /route/KEY       the value: ETag, conditions, ranges
//   GET /route/PREFIX/   keys that begin with PREFIX/ (at the route itself: all), in order:
//                        {"keys": [{"key", "size", "mtime"}], "next": KEY}; ?limit=N, ?after=KEY
//   PUT, DELETE          If-Match: TAG and If-None-Match: * make it a test-and-set
//
// A key is the path behind the route, decoded: any bytes but NUL, no component "..", not ending in
// '/'. What is stored was written by anybody: it is served as data that runs no script here.
// Pages of other sites are refused (H5), also those whose name was made to mean our address. Values
// are read on the serving thread, from the store's memory or disk; changes are made on the mount's
// threads.
//
// One for each serving thread.
#pragma once

#include <memory>
#include <string>

#include "tools/kiosk/content/kv_mount.h"
#include "tools/kiosk/http/metrics.h"
#include "tools/kiosk/http/source.h"

namespace splitring::kiosk {

class KvSource final : public http::Source {
 public:
  // Keys of one page of a list.
  static constexpr uint64_t kFewListed = 1000;
  static constexpr uint64_t kMostListed = 10'000;

  // Takes one of the mount's readers. Both outlive the source.
  KvSource(KvMount& mount, http::WorkerMetrics& metrics);
  ~KvSource() override;

  bool serve(const http::Request& request, http::Exchange& exchange) override;
  bool serve_change(const http::Request& request, http::Exchange& exchange) override;
  void drain() override;

 private:
  class Answers;
  Result<> show(const http::Request& request, http::Exchange& exchange, const std::string& key);
  Result<> list(const http::Request& request, http::Exchange& exchange, const std::string& prefix);
  void hand_over(http::Exchange& exchange, std::function<http::Response(kv::Session&)> work);

  KvMount& mount_;
  const std::unique_ptr<kv::Session> session_;
  http::WorkerMetrics& metrics_;
  const std::shared_ptr<Answers> answers_;
};

}  // namespace splitring::kiosk
