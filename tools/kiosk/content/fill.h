// A value on its way into the cache, and those who wait for it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/kiosk/content/compress.h"
#include "tools/kiosk/content/store_source.h"
#include "tools/kiosk/content/value_reader.h"

namespace splitring::kiosk {

// A request that outlives the bytes that it was parsed from, as far as plan() looks at it.
class SavedRequest {
 public:
  explicit SavedRequest(const http::Request& request);
  // Lives as long as this.
  [[nodiscard]] http::Request get() const;

 private:
  bool is_head_;
  std::vector<std::pair<http::Known, std::string>> conditions_;
};

// Whether anything but the whole file may be the answer.
[[nodiscard]] bool has_conditions(const http::Request& request);

class StoreSource::Fill final : private ValueReader::Client {
 public:
  struct Waiter {
    SavedRequest request;
    http::Exchange* exchange;
  };

  Fill(StoreSource& source, std::string key, std::shared_ptr<Mount> mount, Found found);
  // One call of source.filled() or fill_failed() follows, within start() or later.
  void start() { read_on(); }
  void wait(const http::Request& request, http::Exchange& exchange) {
    waiters.push_back({SavedRequest(request), &exchange});
  }

  const std::string key;
  Representation file;
  const Coding to_make;
  const uint64_t bytes;  // of the value
  std::vector<Waiter> waiters;
  std::unique_ptr<Compression> compression;  // once it has been read, if it is to be smaller
  bool is_old = false;  // its volume has been replaced: answer, but do not keep

 private:
  void read_on();
  void on_bytes(std::span<const std::byte> some) override;
  void on_failure(IoStatus status) override;

  StoreSource& source_;
  ValueReader reader_;
  std::string gathered_;  // of a value that does not come in one piece
};

}  // namespace splitring::kiosk
