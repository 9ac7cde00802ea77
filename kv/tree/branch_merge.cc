#include "kv/tree/branch_merge.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "kv/tree/cursor.h"

namespace splitring::kv {
namespace {

// What stands in a catalogue's entry, behind a byte of zero.
struct DiskCatalogueEntry {
  uint8_t flags = 0;
  uint8_t level = 0;
  le16 name_bytes;
  le32 branch;
  le64 generation;
  le64 held;
  le64 created_s;
  DiskPointer root;
};
static_assert(sizeof(DiskCatalogueEntry) == 64 && alignof(DiskCatalogueEntry) == 1);
constexpr size_t kMaxNameBytes = 255;

std::string entry_text(DiskCatalogueEntry entry, const Root& root, std::string_view name) {
  entry.level = static_cast<uint8_t>(root.level);
  entry.name_bytes = static_cast<uint16_t>(name.size());
  entry.root.page = root.pointer.page;
  entry.root.birth = root.pointer.birth;
  entry.root.hash_low = root.pointer.hash.low;
  entry.root.hash_high = root.pointer.hash.high;
  std::string text(reinterpret_cast<const char*>(&entry), sizeof entry);
  return text += name;
}

std::string realm_key(char kind) {
  std::string key;
  append_be32(key, kNameTree);
  key += kind;
  return key;
}

Change removal(std::string_view key) {
  return {.key = key, .remove = true, .payload = {}, .oldest = nullptr};
}

bool is_segment(std::string_view page_key) { return load_be32(page_key) == kSegmentTree; }

// What a memtable's versions of one key did to each other.
void look_at_versions(const Memtable::Node& node, bool segment, uint64_t pages,
                      BranchChanges& out) {
  for (const Memtable::Version* next = node.newest(); next->older != nullptr; next = next->older) {
    const Memtable::Version& version = *next->older;
    if (version.kind != ChangeKind::kPut) continue;
    if (segment) {
      if (const auto old = Segment::parse(version.payload(), pages))
        out.orphans.push_back({old->page, old->pages()});
    } else if (ends_value(version.payload(), next)) {
      out.ended.push_back(*number_elsewhere(version.payload()));
    }
  }
}

}  // namespace

std::vector<BranchChanges> changes_of(const Memtable& memtable, uint64_t pages) {
  std::vector<BranchChanges> all;
  for (const Memtable::Node* node = memtable.lower_bound({}); node != nullptr;
       node = node->next()) {
    const Memtable::Version* const newest = node->newest();
    if (newest == nullptr) continue;  // of a transaction that was rolled back
    const uint32_t branch = load_be32(node->key());
    if (all.empty() || all.back().branch != branch)
      all.push_back({.branch = branch, .changes = {}, .ended = {}, .orphans = {}});
    const std::string_view key = node->key().substr(kBranchBytes);
    const Memtable::Version* oldest = newest;
    while (oldest->older != nullptr) oldest = oldest->older;
    all.back().changes.push_back({.key = key,
                                  .remove = newest->kind != ChangeKind::kPut,
                                  .payload = newest->payload(),
                                  .oldest = oldest});
    look_at_versions(*node, is_segment(key), pages, all.back());
  }
  return all;
}

std::vector<PageRun> segments_of(const BranchChanges& changes, uint64_t pages) {
  std::vector<PageRun> all = changes.orphans;
  for (const Change& change : changes.changes) {
    if (change.remove || !is_segment(change.key)) continue;
    if (const auto segment = Segment::parse(change.payload, pages))
      all.push_back({segment->page, segment->pages()});
  }
  return all;
}

Result<Root> merge_branch(const Branch& branch, BranchChanges&& in, PageReader& reader,
                          PageWriter& writer, TreeMerge& merge) {
  const auto first_segment =
      std::ranges::find_if(in.changes, [](const Change& change) { return is_segment(change.key); });
  const auto users = static_cast<size_t>(first_segment - in.changes.begin());
  const Root between =
      TRY(merge.merge(branch.root, std::span(in.changes).first(users), branch.held, branch.origin));
  std::vector<uint64_t> ended = merge.take_ended();
  ended.insert(ended.end(), in.ended.begin(), in.ended.end());
  for (const PageRun& orphan : in.orphans) merge.free_value(orphan);
  // Of the values that ended: no segment comes in, and those in the tree go.
  const std::unordered_set<uint64_t> gone(ended.begin(), ended.end());
  std::map<std::string, Change, std::less<>> segments;
  for (const Change& change : std::span(in.changes).subspan(users)) {
    Change& kept = segments.emplace(change.key, change).first->second;
    const bool of_gone = change.key.size() == kTreeBytes + kSegmentKeyBytes &&
                         gone.contains(number_of_segment_key(change.key.substr(kTreeBytes)));
    if (!of_gone || change.remove) continue;
    if (const auto segment = Segment::parse(change.payload, reader.pages()))
      merge.free_value({segment->page, segment->pages()});
    kept.remove = true;
  }
  if (!gone.empty() && between.pointer) {
    TRY_VOID(writer.finish());  // what is read now was just written
    for (const uint64_t number : gone) {
      std::string prefix;
      append_be32(prefix, kSegmentTree);
      prefix += segment_key(number, 0).substr(0, 8);
      TreePosition at(between, reader);
      TRY_VOID(at.seek(prefix));
      while (at.valid() && at.key().starts_with(prefix)) {
        segments.emplace(at.key(), removal(at.key()));
        TRY_VOID(at.next());
      }
    }
  }
  std::vector<Change> rest;
  rest.reserve(segments.size());
  for (auto& [key, change] : segments) {
    change.key = key;
    rest.push_back(change);
  }
  if (!rest.empty()) TRY_VOID(writer.finish());
  return merge.merge(between, rest, branch.held, branch.origin);
}

std::string catalogue_key(const Branch& branch) {
  std::string key = realm_key('b');
  append_be32(key, branch.number);
  return key;
}

std::string catalogue_key(const SnapshotRecord& snapshot) { return realm_key('s') + snapshot.name; }

std::string catalogue_payload(const Branch& branch) {
  DiskCatalogueEntry entry;
  entry.branch = branch.number;
  entry.generation = branch.origin;
  entry.held = branch.held;
  return entry_text(entry, branch.root, branch.name);
}

std::string catalogue_payload(const SnapshotRecord& snapshot) {
  DiskCatalogueEntry entry;
  entry.branch = snapshot.branch;
  entry.generation = snapshot.generation;
  entry.held = snapshot.held;
  entry.created_s = static_cast<uint64_t>(snapshot.created_s);
  return entry_text(entry, snapshot.root, snapshot.name);
}

Result<> add_from_catalogue(std::string_view key, Bytes payload, uint64_t pages, State& state) {
  DiskCatalogueEntry entry;
  const auto bad = [] { return fail(Errc::kInvalid, "an entry of the catalogue is malformed"); };
  if (payload.size() < sizeof entry || key.size() <= kTreeBytes) return bad();
  std::memcpy(&entry, payload.data(), sizeof entry);
  const std::string name(text_of(payload.subspan(sizeof entry)));
  if (name.size() != entry.name_bytes || name.size() > kMaxNameBytes) return bad();
  const Root root{.pointer = {.page = entry.root.page,
                              .birth = entry.root.birth,
                              .hash = {entry.root.hash_low, entry.root.hash_high}},
                  .level = entry.level};
  if (root.level >= PageReader::kMostLevels || root.pointer.page >= pages) return bad();
  const char kind = key[kTreeBytes];
  if (kind == 'b' && entry.branch != kCatalogueBranch && state.branch(entry.branch) == nullptr) {
    state.branches.push_back({.number = entry.branch,
                              .name = name,
                              .root = root,
                              .held = entry.held,
                              .origin = entry.generation});
    return {};
  }
  if (kind != 's' || state.snapshot(name) != nullptr) return bad();
  state.snapshots.push_back({.name = name,
                             .branch = entry.branch,
                             .generation = entry.generation,
                             .held = entry.held,
                             .created_s = static_cast<int64_t>(uint64_t{entry.created_s}),
                             .root = root});
  return {};
}

Result<Root> merge_catalogue(const State& before, const State& next, TreeMerge& merge) {
  std::map<std::string, std::string> old_entries;
  std::map<std::string, std::string> new_entries;
  const auto add = [](const State& state, std::map<std::string, std::string>& entries) {
    for (const Branch& branch : state.branches)
      entries[catalogue_key(branch)] = catalogue_payload(branch);
    for (const SnapshotRecord& snapshot : state.snapshots)
      entries[catalogue_key(snapshot)] = catalogue_payload(snapshot);
  };
  if (before.catalogue.pointer) add(before, old_entries);
  add(next, new_entries);
  std::map<std::string, Change> changes;
  for (const auto& [key, payload] : old_entries)
    if (!new_entries.contains(key)) changes[key] = removal(key);
  for (const auto& [key, payload] : new_entries) {
    const auto old = old_entries.find(key);
    if (old == old_entries.end() || old->second != payload)
      changes[key] = {.key = key, .remove = false, .payload = bytes_of(payload), .oldest = nullptr};
  }
  std::vector<Change> sorted;
  for (const auto& [key, change] : changes) sorted.push_back(change);
  return merge.merge(before.catalogue, sorted, 0, 0);
}

}  // namespace splitring::kv
