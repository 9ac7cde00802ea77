// Watch events that one client has not taken yet. Pure; not thread-safe.
//
// An event says "look again at this path", so one that is still waiting need not wait twice:
// identical events are merged. When more than `bytes_max` are waiting, all those of the watch that
// overflows give way to one event that names the watched path itself, and further ones are merged
// into that until it is taken. So a client that does not read costs a bounded amount, and never
// misses that something changed (X5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "xenbus/store.h"

namespace splitring {

class StoreEventQueue {
 public:
  explicit StoreEventQueue(size_t bytes_max = std::numeric_limits<size_t>::max())
      : bytes_max_(bytes_max) {}

  // `watch` tells watches apart; `watched` is what the event says once the watch overflows.
  void add(uint64_t watch, const std::string& watched, StoreEvent event);
  std::optional<StoreEvent> take();
  // Drops what waits of a watch that is gone.
  void forget(uint64_t watch);
  // The same, told by what it says: all with this token at or below `path`.
  void forget(const std::string& token, const std::string& path);
  void clear();

  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] size_t size() const { return waiting_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    uint64_t watch;
    StoreEvent event;
  };
  using Key = std::pair<std::string, std::string>;  // token, path

  void append(uint64_t watch, StoreEvent event);
  void removed(const StoreEvent& event);

  size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Entry> waiting_;
  std::set<Key> keys_;             // of waiting_
  std::set<uint64_t> overflowed_;  // watches whose only waiting event names the watched path
};

}  // namespace splitring
