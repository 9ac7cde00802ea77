// Many keys at once (view.h): all of them, in order, go down the tree together, a level at a time.
#include <algorithm>

#include "kv/tree/key_order.h"
#include "kv/tree/lookup.h"
#include "kv/tree/page_gather.h"
#include "kv/tree/view.h"

namespace splitring::kv {
namespace {

struct Walk {
  size_t index;  // of the key
  std::string_view text;
  Pointer pointer;  // of the page that it is at
  [[nodiscard]] std::string_view key() const { return text; }
};

using Sort = KeySort<Walk>;
using Payloads = std::vector<std::optional<std::string>>;

// In the order of keys: so what is in one page is side by side.
std::vector<Sort::Item> in_order(std::vector<Walk>& walks) {
  std::vector<Sort::Item> items;
  items.reserve(walks.size());
  for (Walk& walk : walks) items.push_back({order_of(walk.text), &walk});
  std::vector<Sort::Item> spare(items.size());
  Sort::sort(items, 0, spare);
  return items;
}

// All keys that are at one page: to its child, or to what is behind them.
Result<> go_down(std::span<const Sort::Item> group, const std::byte* page, unsigned level,
                 std::string_view realm, Payloads& payloads) {
  const PageView view(page);
  std::string key(realm);
  for (const Sort::Item& item : group) {
    Walk& walk = *item.owner;
    key.replace(realm.size(), std::string::npos, walk.text);
    if (level > 0) {
      walk.pointer = view.child(view.child_of(key));
    } else if (const auto found = view.find(key)) {
      payloads[walk.index] = text_of(view.payload(*found));
    }
  }
  return {};
}

Result<> go_down_all(const Root& root, std::span<const Sort::Item> walks, std::string_view realm,
                     PageReader& reader, Payloads& payloads) {
  PageGather gather(reader);
  std::vector<Pointer> pointers;
  std::vector<size_t> begins;  // of those that are at each page
  for (unsigned level = root.level + 1; level-- > 0;) {
    pointers.clear();
    begins.clear();
    for (size_t i = 0; i < walks.size(); i++) {
      if (i != 0 && walks[i].owner->pointer.page == pointers.back().page) continue;
      pointers.push_back(walks[i].owner->pointer);
      begins.push_back(i);
    }
    begins.push_back(walks.size());
    // Leaves that would drive out most of what is in memory do not go there.
    const bool keep = level > 0 || pointers.size() <= reader.cache().frames() / 8;
    TRY_VOID(gather.run(pointers, level, keep, [&](size_t i, const std::byte* page) {
      const auto group = walks.subspan(begins[i], begins[i + 1] - begins[i]);
      return go_down(group, page, level, realm, payloads);
    }));
  }
  return {};
}

}  // namespace

Result<std::vector<std::optional<std::string>>> TreeReader::get_many(
    TreeId tree, std::span<const std::string> keys) {
  Payloads payloads(keys.size());
  std::vector<Walk> walks;
  for (size_t i = 0; i < keys.size(); i++) {
    if (keys[i].empty() || keys[i].size() > kMaxUserKeyBytes) continue;
    const FullKey full(sight_.branch, static_cast<uint32_t>(tree), keys[i]);
    const auto known = lookup_memory(sight_, full);
    if (known && *known) payloads[i] = text_of(**known);
    if (!known && sight_.root.pointer) walks.push_back({i, keys[i], sight_.root.pointer});
  }
  if (!walks.empty()) {
    std::string realm;
    append_be32(realm, static_cast<uint32_t>(tree));
    TRY_VOID(go_down_all(sight_.root, in_order(walks), realm, *reader_, payloads));
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
