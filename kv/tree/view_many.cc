// Many keys at once (view.h): each goes down the tree as far as pages are in memory; then all the
// pages that are missing are read together.
#include <algorithm>
#include <unordered_set>

#include "kv/tree/view.h"

namespace splitring::kv {
namespace {

struct Walk {
  size_t index;  // of the key
  Pointer pointer;
  unsigned level;
};

// Down to what is behind `page_key`; false: the next page is not in memory.
// Precondition: a read is pinned.
Result<bool> go_down(Walk& walk, std::string_view page_key, PageReader& reader,
                     std::optional<std::string>& payload) {
  while (reader.cached(walk.pointer) != nullptr) {
    const PageView view(TRY(reader.fetch(walk.pointer, walk.level)));
    if (walk.level == 0) {
      if (const auto found = view.find(page_key)) payload = text_of(view.payload(*found));
      return true;
    }
    walk.pointer = view.child(view.child_of(page_key));
    walk.level--;
  }
  return false;
}

}  // namespace

Result<std::vector<std::optional<std::string>>> TreeReader::get_many(
    TreeId tree, std::span<const std::string> keys) {
  std::vector<std::optional<std::string>> payloads(keys.size());
  std::vector<Walk> walks;
  const auto full = [&](size_t i) {
    return FullKey(sight_.branch, static_cast<uint32_t>(tree), keys[i]);
  };
  for (size_t i = 0; i < keys.size(); i++) {
    if (keys[i].empty() || keys[i].size() > kMaxUserKeyBytes) continue;
    const auto known = lookup_memory(sight_, full(i));
    if (known && *known) payloads[i] = text_of(**known);
    if (!known && sight_.root.pointer) walks.push_back({i, sight_.root.pointer, sight_.root.level});
  }
  while (!walks.empty()) {
    const size_t before = walks.size();
    std::vector<PageReader::Wanted> wanted;
    std::unordered_set<uint64_t> pages;
    {
      const Pin pinned = reader_->pin();
      std::vector<Walk> waiting;
      for (Walk& walk : walks) {
        if (TRY(go_down(walk, full(walk.index).in_page(), *reader_, payloads[walk.index])))
          continue;
        waiting.push_back(walk);
        if (wanted.size() < PageReader::kMostInFlight && pages.insert(walk.pointer.page).second)
          wanted.push_back({walk.pointer, walk.level});
      }
      walks = std::move(waiting);
    }
    if (walks.empty()) break;
    reader_->prefetch(wanted);
    if (walks.size() != before || reader_->cached(walks.back().pointer) != nullptr) continue;
    // The cache may have no room, or the page is damaged: one goes all the way by itself.
    const Walk walk = walks.back();
    walks.pop_back();
    const Pin pinned = reader_->pin();
    const auto found = TRY(lookup_tree(sight_.root, *reader_, full(walk.index).in_page()));
    if (found) payloads[walk.index] = text_of(*found);
  }
  for (auto& payload : payloads) {
    if (!payload) continue;
    std::string value;
    TRY_VOID(value_of(bytes_of(*payload), value, kMaxGet));
    payload = std::move(value);
  }
  return payloads;
}

}  // namespace splitring::kv
