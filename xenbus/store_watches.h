// Who wants to hear of which paths. Pure; not thread-safe.
//
// A watch hears of its path and of all below it. When a subtree is removed, the watches above it
// and on its top hear of the top; those within hear of their own path.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "xenbus/store_error.h"
#include "xenbus/store_event_queue.h"
#include "xenbus/store_path.h"

namespace splitring {

class StoreWatches {
 public:
  struct Watch {
    uint64_t id;
    DomId domain;            // whose rights decide what it hears of
    StoreEventQueue* queue;  // its client's; also what tells clients apart
    std::string token;
    std::string path;   // absolute, or the name of a special watch
    size_t shown_from;  // events leave out so much of a path: the watch was given relative

    // The event for `changed`, which is at or below `path`.
    void fire(std::string_view changed) const;
  };

  // Error: kExists if the client has one with this path and token.
  StoreResult<const Watch*> add(DomId domain, StoreEventQueue* queue, const std::string& path,
                                size_t shown_from, const std::string& token);
  // Error: kNotFound. What waited of it in the queue goes too.
  StoreResult<> remove(StoreEventQueue* queue, const std::string& path, const std::string& token);
  // All of a client; returns how many they were.
  size_t remove_all(StoreEventQueue* queue);

  // Those that hear of `path`: on it and, unless `exact_only`, above it.
  [[nodiscard]] std::vector<const Watch*> listeners(std::string_view path, bool exact_only) const;

 private:
  void append_on(std::string_view path, std::vector<const Watch*>& found) const;

  uint64_t last_id_ = 0;
  std::map<std::string, std::list<Watch>, std::less<>> by_path_;
};

}  // namespace splitring
