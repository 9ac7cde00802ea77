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

TarIndex::TarIndex(const TarLimits& limits) : limits_(limits), cells_(kFirstTableCells) {
  records_.emplace_back().flags = TarRecord::kImplied;
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

Result<TarIndex::Id> TarIndex::add(std::string_view path, const Facts& facts) {
  if (facts.link.size() > kMaxTarPathBytes) return fail(Errc::kInvalid, "link target too long");
  if (path.size() + facts.link.size() > limits_.name_bytes - names_.size())
    return fail(Errc::kLimit, "the archive's names are more than an index takes");
  if (facts.extents && facts.extents->size() > limits_.extents - extents_.size())
    return fail(Errc::kLimit, "the archive's sparse members are more than an index takes");
  const auto path_at = static_cast<uint32_t>(names_.size());
  Id id = kRoot;
  if (const auto appended = append_normalized(path); !appended) {
    names_.resize(path_at);
    return tl::unexpected<Error>(appended.error());
  }
  if (const size_t bytes = names_.size() - path_at; bytes != 0) {
    const size_t before = records_.size();
    auto found = find_or_insert(path_at, bytes);
    // Implied directories may lie in these bytes: only a path that made nothing leaves none.
    if (records_.size() == before) names_.resize(path_at);
    id = TRY(std::move(found));
  }
  TarRecord& record = records_[id];
  record.kind = facts.kind;
  record.flags = facts.extents ? TarRecord::kSparse : 0;
  record.offset = facts.offset;
  record.size = facts.size;
  record.mtime_s = facts.mtime_s;
  record.mtime_ns = facts.mtime_ns;
  record.uid = facts.uid;
  record.gid = facts.gid;
  record.mode = facts.mode;
  if (facts.extents) {
    record.link_at = static_cast<uint32_t>(extents_.size());
    record.extents = static_cast<uint32_t>(facts.extents->size());
    extents_.insert(extents_.end(), facts.extents->begin(), facts.extents->end());
    return id;
  }
  record.link_at = static_cast<uint32_t>(names_.size());
  record.link_bytes = static_cast<uint16_t>(facts.link.size());
  names_.insert(names_.end(), facts.link.begin(), facts.link.end());
  return id;
}

void TarIndex::set_body(Id link, const TarRecord& target) {
  TarRecord& record = records_[link];
  record.kind = target.kind;
  record.flags = static_cast<uint8_t>((target.flags & TarRecord::kSparse) | TarRecord::kHardLink);
  record.offset = target.offset;
  record.size = target.size;
  record.link_at = target.link_at;
  record.link_bytes = target.link_bytes;
  record.extents = target.extents;
}

Result<> TarIndex::append_normalized(std::string_view path) {
  if (path.empty()) return fail(Errc::kInvalid, "empty name");
  if (path.size() > kMaxTarPathBytes) return fail(Errc::kInvalid, "name too long");
  size_t depth = 0;
  for_each_component(path, [&](std::string_view component) {
    if (depth++ != 0) names_.push_back('/');
    names_.insert(names_.end(), component.begin(), component.end());
  });
  if (depth > kMaxTarPathDepth) return fail(Errc::kInvalid, "name has too many components");
  return {};
}

Result<TarIndex::Id> TarIndex::find_or_insert(uint32_t path_at, size_t path_bytes) {
  const std::string_view path = text(path_at, path_bytes);
  const TarTable built = table();
  const uint32_t tag = built.tag_of(path);
  const Id found = built.find_tagged(path, tag);
  if (found != kRoot) return found;
  return insert(path_at, path_bytes, tag);
}

// Precondition: no entry has that path.
Result<TarIndex::Id> TarIndex::insert(uint32_t path_at, size_t path_bytes, uint32_t tag) {
  // Before its own entry: a full index then leaves a tree, not an orphan.
  const Id parent = TRY(parent_of(path_at, path_bytes));
  if (records_.size() >= limits_.entries)
    return fail(Errc::kLimit, "the archive has more entries than an index takes");
  if (records_.size() >= cells_.size() / 4 * 3) grow_table();
  const Id id = size();
  TarRecord& record = records_.emplace_back();
  record.flags = TarRecord::kImplied;
  record.path_at = path_at;
  record.path_bytes = static_cast<uint16_t>(path_bytes);
  record.next_sibling = records_[parent].first_child;
  records_[parent].first_child = id;
  place({tag, id});
  return id;
}

// Recursion through find_or_insert is bounded by kMaxTarPathDepth.
Result<TarIndex::Id> TarIndex::parent_of(uint32_t path_at, size_t path_bytes) {
  const size_t slash = text(path_at, path_bytes).rfind('/');
  if (slash == std::string_view::npos) return kRoot;
  const TarRecord& last = records_[last_parent_];
  if (text(last.path_at, last.path_bytes) == text(path_at, slash)) return last_parent_;
  last_parent_ = TRY(find_or_insert(path_at, slash));
  return last_parent_;
}

void TarIndex::place(TarCell cell) {
  const size_t mask = cells_.size() - 1;
  size_t at = cell.tag & mask;
  while (cells_[at].id != 0) at = (at + 1) & mask;
  cells_[at] = cell;
}

void TarIndex::grow_table() {
  std::vector<TarCell> old(cells_.size() * 2);
  old.swap(cells_);
  for (const TarCell& cell : old) {
    if (cell.id != 0) place(cell);
  }
}

}  // namespace splitring
