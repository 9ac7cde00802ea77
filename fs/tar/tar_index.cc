#include "fs/tar/tar_index.h"

#include <algorithm>

namespace splitring {
namespace {

constexpr size_t kFirstTableCells = 1024;

// Calls `take` with each component that counts.
template <class Take>
void for_each_component(std::string_view path, Take&& take) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (!component.empty() && component != ".") take(component);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
}

}  // namespace

TarIndex::TarIndex(const TarLimits& limits) : limits_(limits), table_(kFirstTableCells) {
  entries_.emplace_back();
}

std::string TarIndex::normalize(std::string_view path) {
  std::string normal;
  normal.reserve(path.size());
  for_each_component(path, [&](std::string_view component) {
    if (!normal.empty()) normal += '/';
    normal += component;
  });
  return normal;
}

std::optional<TarIndex::Id> TarIndex::find(std::string_view path) const {
  if (path.empty()) return kRoot;
  const Id id = find_tagged(path, tag_of(path));
  return id == kRoot ? std::nullopt : std::optional(id);
}

// The root if there is none.
TarIndex::Id TarIndex::find_tagged(std::string_view wanted, uint32_t tag) const {
  const size_t mask = table_.size() - 1;
  for (size_t at = tag & mask; table_[at].id != 0; at = (at + 1) & mask) {
    if (table_[at].tag == tag && path(entries_[table_[at].id]) == wanted) return table_[at].id;
  }
  return kRoot;
}

Result<TarIndex::Id> TarIndex::add(std::string_view path, const Facts& facts) {
  if (facts.link.size() > kMaxTarPathBytes) return fail(Errc::kInvalid, "link target too long");
  if (path.size() + facts.link.size() > limits_.name_bytes - arena_.size())
    return fail(Errc::kLimit, "the archive's names are more than an index takes");
  const auto path_at = static_cast<uint32_t>(arena_.size());
  Id id = kRoot;
  if (const auto appended = append_normalized(path); !appended) {
    arena_.resize(path_at);
    return tl::unexpected<Error>(appended.error());
  }
  if (const size_t bytes = arena_.size() - path_at; bytes != 0) {
    const size_t before = entries_.size();
    auto found = find_or_insert(path_at, bytes);
    // Implied directories may lie in these bytes: only a path that made nothing leaves none.
    if (entries_.size() == before) arena_.resize(path_at);
    id = TRY(std::move(found));
  }
  Entry& entry = entries_[id];
  entry.kind = facts.kind;
  entry.implied = false;
  entry.offset = facts.offset;
  entry.size = facts.size;
  entry.mtime_s = facts.mtime_s;
  entry.mode = facts.mode;
  entry.link_at = static_cast<uint32_t>(arena_.size());
  entry.link_bytes = static_cast<uint16_t>(facts.link.size());
  arena_.insert(arena_.end(), facts.link.begin(), facts.link.end());
  return id;
}

void TarIndex::set_body(Id link, const Entry& target) {
  Entry& entry = entries_[link];
  entry.kind = target.kind;
  entry.offset = target.offset;
  entry.size = target.size;
  entry.link_at = target.link_at;
  entry.link_bytes = target.link_bytes;
}

void TarIndex::shrink() {
  entries_.shrink_to_fit();
  arena_.shrink_to_fit();
}

Result<> TarIndex::append_normalized(std::string_view path) {
  if (path.empty()) return fail(Errc::kInvalid, "empty name");
  if (path.size() > kMaxTarPathBytes) return fail(Errc::kInvalid, "name too long");
  size_t depth = 0;
  for_each_component(path, [&](std::string_view component) {
    if (depth++ != 0) arena_.push_back('/');
    arena_.insert(arena_.end(), component.begin(), component.end());
  });
  if (depth > kMaxTarPathDepth) return fail(Errc::kInvalid, "name has too many components");
  return {};
}

Result<TarIndex::Id> TarIndex::find_or_insert(uint32_t path_at, size_t path_bytes) {
  const std::string_view path = text(path_at, path_bytes);
  const uint32_t tag = tag_of(path);
  const Id found = find_tagged(path, tag);
  if (found != kRoot) return found;
  return insert(path_at, path_bytes, tag);
}

// Precondition: no entry has that path.
Result<TarIndex::Id> TarIndex::insert(uint32_t path_at, size_t path_bytes, uint32_t tag) {
  // Before its own entry: a full index then leaves a tree, not an orphan.
  const Id parent = TRY(parent_of(path_at, path_bytes));
  if (entries_.size() >= limits_.entries)
    return fail(Errc::kLimit, "the archive has more entries than an index takes");
  if (entries_.size() >= table_.size() / 4 * 3) grow_table();
  const Id id = size();
  Entry& entry = entries_.emplace_back();
  entry.path_at = path_at;
  entry.path_bytes = static_cast<uint16_t>(path_bytes);
  entry.next_sibling = entries_[parent].first_child;
  entries_[parent].first_child = id;
  place({tag, id});
  return id;
}

// Recursion through find_or_insert is bounded by kMaxTarPathDepth.
Result<TarIndex::Id> TarIndex::parent_of(uint32_t path_at, size_t path_bytes) {
  const size_t slash = text(path_at, path_bytes).rfind('/');
  if (slash == std::string_view::npos) return kRoot;
  if (path(entries_[last_parent_]) == text(path_at, slash)) return last_parent_;
  last_parent_ = TRY(find_or_insert(path_at, slash));
  return last_parent_;
}

void TarIndex::place(Cell cell) {
  const size_t mask = table_.size() - 1;
  size_t at = cell.tag & mask;
  while (table_[at].id != 0) at = (at + 1) & mask;
  table_[at] = cell;
}

void TarIndex::grow_table() {
  std::vector<Cell> old(table_.size() * 2);
  old.swap(table_);
  for (const Cell& cell : old) {
    if (cell.id != 0) place(cell);
  }
}

}  // namespace splitring
