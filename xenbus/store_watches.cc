#include "xenbus/store_watches.h"

#include <algorithm>

namespace splitring {

void StoreWatches::Watch::fire(std::string_view changed) const {
  queue->add(id, path.substr(shown_from), {std::string(changed.substr(shown_from)), token});
}

StoreResult<const StoreWatches::Watch*> StoreWatches::add(DomId domain, StoreEventQueue* queue,
                                                          const std::string& path,
                                                          size_t shown_from,
                                                          const std::string& token) {
  std::list<Watch>& here = by_path_[path];
  const bool exists = std::ranges::any_of(
      here, [&](const Watch& each) { return each.queue == queue && each.token == token; });
  if (exists) return store_fail(StoreErrc::kExists);
  return &here.emplace_back(Watch{++last_id_, domain, queue, token, path, shown_from});
}

StoreResult<> StoreWatches::remove(StoreEventQueue* queue, const std::string& path,
                                   const std::string& token) {
  const auto here = by_path_.find(path);
  if (here == by_path_.end()) return store_fail(StoreErrc::kNotFound);
  const auto watch = std::ranges::find_if(
      here->second, [&](const Watch& each) { return each.queue == queue && each.token == token; });
  if (watch == here->second.end()) return store_fail(StoreErrc::kNotFound);
  queue->forget(watch->id);
  here->second.erase(watch);
  if (here->second.empty()) by_path_.erase(here);
  return {};
}

size_t StoreWatches::remove_all(StoreEventQueue* queue) {
  size_t removed = 0;
  for (auto& [path, here] : by_path_)
    removed += std::erase_if(here, [&](const Watch& each) { return each.queue == queue; });
  std::erase_if(by_path_, [](const auto& entry) { return entry.second.empty(); });
  queue->clear();
  return removed;
}

std::vector<const StoreWatches::Watch*> StoreWatches::listeners(std::string_view path,
                                                                bool exact_only) const {
  std::vector<const Watch*> found;
  append_on(path, found);
  if (exact_only || is_special_watch(path)) return found;
  while (path != "/") {
    path = parent_store_path(path);
    append_on(path, found);
  }
  return found;
}

void StoreWatches::append_on(std::string_view path, std::vector<const Watch*>& found) const {
  const auto here = by_path_.find(path);
  if (here == by_path_.end()) return;
  for (const Watch& watch : here->second) found.push_back(&watch);
}

}  // namespace splitring
