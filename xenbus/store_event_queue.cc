#include "xenbus/store_event_queue.h"

#include <utility>

#include "xenbus/store_path.h"

namespace splitring {

namespace {

// Roughly what an event costs, its places in the queue and the index included.
size_t cost(const StoreEvent& event) {
  return 2 * (event.path.size() + event.token.size()) + 2 * sizeof(StoreEvent);
}

}  // namespace

void StoreEventQueue::add(uint64_t watch, const std::string& watched, StoreEvent event) {
  if (overflowed_.contains(watch) || keys_.contains({event.token, event.path})) return;
  if (bytes_ + cost(event) <= bytes_max_) return append(watch, std::move(event));
  forget(watch);
  overflowed_.insert(watch);
  event.path = watched;
  if (!keys_.contains({event.token, event.path})) append(watch, std::move(event));
}

std::optional<StoreEvent> StoreEventQueue::take() {
  if (waiting_.empty()) return std::nullopt;
  Entry entry = std::move(waiting_.front());
  waiting_.pop_front();
  removed(entry.event);
  overflowed_.erase(entry.watch);
  return std::move(entry.event);
}

void StoreEventQueue::forget(uint64_t watch) {
  std::erase_if(waiting_, [&](const Entry& entry) {
    if (entry.watch != watch) return false;
    removed(entry.event);
    return true;
  });
  overflowed_.erase(watch);
}

void StoreEventQueue::forget(const std::string& token, const std::string& path) {
  const std::string prefix = store_children_prefix(path);
  std::erase_if(waiting_, [&](const Entry& entry) {
    const StoreEvent& event = entry.event;
    if (event.token != token || (event.path != path && !event.path.starts_with(prefix)))
      return false;
    removed(event);
    return true;
  });
}

void StoreEventQueue::clear() {
  waiting_.clear();
  keys_.clear();
  overflowed_.clear();
  bytes_ = 0;
}

void StoreEventQueue::append(uint64_t watch, StoreEvent event) {
  bytes_ += cost(event);
  keys_.emplace(event.token, event.path);
  waiting_.push_back({watch, std::move(event)});
}

void StoreEventQueue::removed(const StoreEvent& event) {
  bytes_ -= cost(event);
  keys_.erase({event.token, event.path});
}

}  // namespace splitring
