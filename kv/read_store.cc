#include "kv/read_store.h"

#include <algorithm>

namespace splitring::kv {

const char* to_string(Kind kind) { return kind == Kind::kValue ? "value" : "dictionary"; }

Result<Entry> ReadStore::must_find(const std::string& key) {
  const auto entry = TRY(do_find(key));
  if (!entry) return fail(Errc::kNotFound, "no such key: " + printable_key(key));
  return *entry;
}

Result<Entry> ReadStore::must_be(Kind kind, const std::string& key) {
  const Entry entry = TRY(must_find(key));
  if (entry.kind != kind)
    return fail(Errc::kInvalid,
                printable_key(key) + " is a " + to_string(entry.kind) + ", no " + to_string(kind));
  return entry;
}

Result<std::optional<Entry>> ReadStore::find(std::string_view key) {
  return do_find(TRY(normal_key(key)));
}

Result<std::optional<Kind>> ReadStore::exists(std::string_view key) {
  const auto entry = TRY(find(key));
  if (!entry) return std::optional<Kind>();
  return std::optional(entry->kind);
}

Result<std::vector<Child>> ReadStore::sorted_children(const std::string& key) {
  auto children = TRY(do_list(key));
  std::sort(children.begin(), children.end(),
            [](const Child& a, const Child& b) { return a.name < b.name; });
  return children;
}

Result<std::vector<Child>> ReadStore::list(std::string_view key) {
  const std::string normal = TRY(normal_key(key));
  TRY_VOID(must_be(Kind::kDictionary, normal));
  return sorted_children(normal);
}

Result<std::unique_ptr<Value>> ReadStore::open(std::string_view key) {
  const std::string normal = TRY(normal_key(key));
  TRY_VOID(must_be(Kind::kValue, normal));
  return do_open(normal);
}

Result<uint64_t> ReadStore::size(std::string_view key) {
  return TRY(must_be(Kind::kValue, TRY(normal_key(key)))).size;
}

Result<std::string> ReadStore::get(std::string_view key, uint64_t limit) {
  return get_partial(key, 0, UINT64_MAX, limit);
}

Result<std::string> ReadStore::get_partial(std::string_view key, uint64_t offset, uint64_t length,
                                           uint64_t limit) {
  const auto value = TRY(open(key));
  const uint64_t first = std::min(offset, value->size());
  const uint64_t bytes = std::min(length, value->size() - first);
  if (bytes > limit)
    return fail(Errc::kLimit, printable_key(key) + ": " + std::to_string(bytes) +
                                  " bytes are more than one call returns; read it as a stream");
  std::string text(bytes, '\0');
  text.resize(TRY(value->read(first, std::as_writable_bytes(std::span(text)))));
  return text;
}

Result<std::optional<int64_t>> ReadStore::last_modified(std::string_view key) {
  return TRY(must_find(TRY(normal_key(key)))).modified_s;
}

Result<Digest> ReadStore::digest(std::string_view key) {
  const std::string normal = TRY(normal_key(key));
  const Entry entry = TRY(must_find(normal));
  return entry.kind == Kind::kValue ? value_digest(normal) : dictionary_digest(normal);
}

Result<Digest> ReadStore::value_digest(const std::string& key) {
  if (const auto known = known_digest(key)) return *known;
  const auto value = TRY(do_open(key));
  ValueStream stream(*value);
  DigestBuilder builder;
  while (true) {
    const auto bytes = TRY(stream.next());
    if (bytes.empty()) return builder.finish();
    builder.add(bytes);
  }
}

// As deep as keys are: kMaxKeyDepth.
Result<Digest> ReadStore::dictionary_digest(const std::string& key) {
  DigestBuilder builder;
  for (const Child& child : TRY(sorted_children(key))) {
    const std::string child_name = child_key(key, child.name);
    const bool is_value = child.entry.kind == Kind::kValue;
    const Digest digest = is_value              ? TRY(value_digest(child_name))
                          : child.entry.is_link ? DigestBuilder().finish()
                                                : TRY(dictionary_digest(child_name));
    builder.add(to_hex(digest) + " " + to_string(child.entry.kind) + " " + child.name);
    builder.add(std::string_view("\0", 1));
  }
  return builder.finish();
}

Result<> ReadStore::iter(std::string_view key, const Visit& visit) {
  const std::string start = TRY(normal_key(key));
  const Entry first = TRY(must_find(start));
  if (first.kind == Kind::kValue) {
    visit(start, first);
    return {};
  }
  // A dictionary on the way down: what it holds, and which comes next.
  struct Level {
    std::string key;
    std::vector<Child> children;
    size_t next = 0;
  };
  std::vector<Level> levels;
  levels.push_back({start, TRY(sorted_children(start))});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.children.size()) {
      levels.pop_back();
      continue;
    }
    const Child& child = level.children[level.next++];
    std::string child_name = child_key(level.key, child.name);
    if (child.entry.kind == Kind::kValue) {
      if (!visit(child_name, child.entry)) return {};
    } else if (!child.entry.is_link) {
      auto children = TRY(sorted_children(child_name));
      levels.push_back({std::move(child_name), std::move(children)});
    }
  }
  return {};
}

}  // namespace splitring::kv
