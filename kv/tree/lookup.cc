#include "kv/tree/lookup.h"

namespace splitring::kv {

Result<std::optional<Bytes>> lookup_tree(const Root& root, PageReader& reader,
                                         std::string_view page_key) {
  if (!root.pointer) return std::optional<Bytes>();
  Pointer pointer = root.pointer;
  for (unsigned level = root.level;; level--) {
    const std::byte* page = reader.cached(pointer, level);
    if (page == nullptr) page = TRY(reader.fetch(pointer, level));
    const PageView view(page);
    if (level == 0) {
      const auto found = view.find(page_key);
      return found ? std::optional(view.payload(*found)) : std::nullopt;
    }
    pointer = view.child(view.child_of(page_key));
  }
}

std::optional<std::optional<Bytes>> lookup_memory(const Sight& sight, const FullKey& key) {
  for (const Memtable* const memtable : {sight.active, sight.frozen}) {
    if (memtable == nullptr || memtable->empty()) continue;
    const Memtable::Node* const node = memtable->find(key.in_memory());
    if (node == nullptr) continue;
    const Memtable::Version* const version = node->at(sight.sequence);
    if (version == nullptr) continue;
    if (version->kind != ChangeKind::kPut) return std::optional<Bytes>();
    return std::optional(version->payload());
  }
  return std::nullopt;
}

Result<std::optional<Bytes>> lookup(const Sight& sight, PageReader& reader, const FullKey& key) {
  if (const auto known = lookup_memory(sight, key)) return *known;
  return lookup_tree(sight.root, reader, key.in_page());
}

}  // namespace splitring::kv
