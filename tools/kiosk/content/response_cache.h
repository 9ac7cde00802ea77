// Answers that one thread keeps: prepared, by what was asked, the least recently used one leaves
// first.
//
// The limit holds for all prepared answers that are alive, also for those which have left the cache
// while slow clients are still taking them; when these fill it nothing more is kept. One thread.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tools/kiosk/content/representation.h"
#include "tools/kiosk/http/prepared.h"

namespace splitring::kiosk {

struct CachedResponse {
  std::string key;
  http::PreparedRef whole;
  std::optional<Representation> file;  // nothing: a page, which has no parts and no validators
};

class ResponseCache {
 public:
  explicit ResponseCache(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // Null: not here. Lives until the next add(), make_room() or clear().
  [[nodiscard]] const CachedResponse* find(std::string_view key);
  // Drops what it must; false: `bytes` more do not fit all the same.
  [[nodiscard]] bool make_room(uint64_t bytes);
  // Of two with one key the later counts.
  const CachedResponse& add(CachedResponse response);
  void clear();
  // For Prepared::make().
  [[nodiscard]] const std::shared_ptr<uint64_t>& live_bytes() const { return live_bytes_; }
  [[nodiscard]] uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  using List = std::list<CachedResponse>;

  const uint64_t limit_bytes_;
  std::shared_ptr<uint64_t> live_bytes_ = std::make_shared<uint64_t>(0);
  List latest_first_;
  std::unordered_map<std::string_view, List::iterator> by_key_;  // views of the list's keys
};

}  // namespace splitring::kiosk
