#include "tools/kiosk/content/response_cache.h"

namespace splitring::kiosk {

const CachedResponse* ResponseCache::find(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  if (found->second != latest_first_.begin())
    latest_first_.splice(latest_first_.begin(), latest_first_, found->second);
  return &*found->second;
}

bool ResponseCache::make_room(uint64_t bytes) {
  while (*live_bytes_ + bytes > limit_bytes_ && !latest_first_.empty()) {
    by_key_.erase(latest_first_.back().key);
    latest_first_.pop_back();
  }
  return *live_bytes_ + bytes <= limit_bytes_;
}

const CachedResponse& ResponseCache::add(CachedResponse response) {
  if (const auto old = by_key_.find(response.key); old != by_key_.end()) {
    const auto place = old->second;
    by_key_.erase(old);
    latest_first_.erase(place);
  }
  latest_first_.push_front(std::move(response));
  by_key_.emplace(latest_first_.front().key, latest_first_.begin());
  return latest_first_.front();
}

void ResponseCache::clear() {
  by_key_.clear();
  latest_first_.clear();
}

}  // namespace splitring::kiosk
