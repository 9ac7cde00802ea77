#include "kv/tree/tree_merge.h"

#include <algorithm>

#include "kv/tree/page_division.h"
#include "kv/tree/payload.h"

namespace splitring::kv {
namespace {

constexpr size_t kGroup = PageReader::kMostInFlight;  // children that are read together
constexpr size_t kRunBytes = size_t{256} << 10;       // of entries that are packed together
constexpr size_t kUnderfull = kPageBytes / 3;
constexpr uint64_t kRoomPages = 64;  // allocated at a time

uint8_t kind_of(unsigned level) { return level == 0 ? kLeafPage : kInnerPage; }

}  // namespace

bool ends_value(Bytes payload, const Memtable::Version* next) {
  const auto number = number_elsewhere(payload);
  if (!number) return false;
  if (next == nullptr) return true;
  if (next->kind == ChangeKind::kMoved) return false;
  return next->kind == ChangeKind::kRemove || number_elsewhere(next->payload()) != number;
}

std::string_view TreeMerge::Arena::join(std::string_view a, std::string_view b) {
  const size_t bytes = a.size() + b.size();
  if (left_ < bytes) {
    left_ = std::max<size_t>(bytes, 16384);
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
    at_ = chunks_.back().get();
  }
  char* const start = at_;
  if (!a.empty()) std::memcpy(start, a.data(), a.size());
  if (!b.empty()) std::memcpy(start + a.size(), b.data(), b.size());
  at_ += bytes;
  left_ -= bytes;
  return {start, bytes};
}

void TreeMerge::Contents::add(const PageEntry& entry, uint8_t kind) {
  entries.push_back(entry);
  bytes += entry_bytes(entry, kind, 0);
}

// What was allocated and not used, and everything if the merge did not get to its end.
TreeMerge::~TreeMerge() {
  if (!used_.empty()) writer_.abandon();  // nothing is on its way to a page that is free
  space_.give_back(room_, SpaceMap::Content::kUntouched);
  for (const PageRun& run : used_) space_.give_back(run);
}

std::vector<PageRun> TreeMerge::take_used() {
  std::vector<PageRun> all = std::move(used_);
  used_.clear();
  all.insert(all.end(), values_.begin(), values_.end());
  return all;
}

uint64_t TreeMerge::freed_pages() const {
  uint64_t sum = 0;
  for (const PageRun& run : freed_) sum += run.count;
  return sum;
}

Result<uint64_t> TreeMerge::new_page() {
  if (room_.count == 0) room_ = TRY(space_.allocate(kRoomPages, reader_.lane()));
  const uint64_t page = room_.first++;
  room_.count--;
  if (!used_.empty() && used_.back().first + used_.back().count == page)
    used_.back().count++;
  else
    used_.push_back({page, 1});
  return page;
}

void TreeMerge::uncount(const Counts& gone) {
  counts_.leaf_pages -= gone.leaf_pages;
  counts_.inner_pages -= gone.inner_pages;
  counts_.value_pages -= gone.value_pages;
}

void TreeMerge::let_go(const Pointer& pointer, unsigned level) {
  if (pointer.birth > origin_) (level == 0 ? counts_.leaf_pages : counts_.inner_pages)--;
  if (pointer.birth <= held_) return;
  reader_.cache().age(pointer.page);
  if (!freed_.empty() && freed_.back().first + freed_.back().count == pointer.page)
    freed_.back().count++;
  else
    freed_.push_back({pointer.page, 1});
}

Result<Pointer> TreeMerge::write(std::span<const PageEntry> entries, unsigned level, bool wanted) {
  Pointer pointer{.page = TRY(new_page()), .birth = generation_, .hash = {}};
  std::byte* const page = TRY(writer_.place(pointer.page));
  build_page(page, kind_of(level), level, pointer.page, generation_, entries);
  pointer.hash = hash_of({page, kPageBytes});
  (level == 0 ? counts_.leaf_pages : counts_.inner_pages)++;
  // What the cache has under this number is from an earlier life of the page.
  PageCache::Supply& supply = reader_.supply();
  if (const uint32_t frame = supply.take(); frame != PageCache::kNoFrame) {
    std::memcpy(reader_.cache().frame_bytes(frame), page, kPageBytes);
    supply.publish(pointer.page, frame, wanted);
  } else {
    supply.forget(pointer.page);
  }
  return pointer;
}

Result<> TreeMerge::pack(const Contents& contents, unsigned level, std::string_view lower,
                         Contents& out) {
  const auto& entries = contents.entries;
  if (entries.empty()) return {};
  // Who reads goes on finding in memory what was there.
  const bool wanted = level > 0 || contents.cached * 2 > contents.sources;
  size_t first = 0;
  for (const size_t end : divide_into_pages(entries, kind_of(level))) {
    const auto part = std::span(entries).subspan(first, end - first);
    const Pointer pointer = TRY(write(part, level, wanted));
    const std::string_view separator =
        first == 0   ? lower
        : level == 0 ? shortest_separator(entries[first - 1].key, part.front().key)
                     : part.front().key;
    out.add({.key = out.text.join(separator, {}), .payload = {}, .child = pointer}, kInnerPage);
    first = end;
  }
  return {};
}

Result<> TreeMerge::close(Run& run, unsigned level, Contents& out) {
  if (!run.open) return {};
  TRY_VOID(pack(run.contents, level, run.lower, out));
  run = Run();
  return {};
}

Result<> TreeMerge::put(const Change& change, Contents& out) {
  // A ring may be hostile; so that every entry fits in a page.
  if (change.key.size() > kMaxPageKeyBytes || change.payload.size() > kMaxPayloadBytes)
    return fail(Errc::kInvalid, "a change in the ring is too long");
  PageEntry entry{.key = change.key, .payload = change.payload, .child = {}};
  if (load_be32(change.key) == kSegmentTree) {
    // It says when it was written; only now it is known in which generation it is seen first.
    auto segment = Segment::parse(change.payload, reader_.pages());
    if (!segment) return fail(Errc::kInvalid, "a value's segment is malformed");
    segment->birth = generation_;
    std::string text;
    segment->append_to(text);
    entry.payload = bytes_of(out.text.join(text, {}));
    values_.push_back({segment->page, segment->pages()});
    counts_.value_pages += static_cast<int64_t>(segment->pages());
  }
  out.add(entry, kLeafPage);
  return {};
}

// What the tree had under a key that changes.
Result<> TreeMerge::replaced(std::string_view key, Bytes old, const Change& change) {
  if (load_be32(key) != kSegmentTree) {
    if (ends_value(old, change.oldest)) ended_.push_back(*number_elsewhere(old));
    return {};
  }
  const auto segment = Segment::parse(old, reader_.pages());
  if (!segment) return fail(Errc::kInvalid, "a value's segment is malformed");
  if (segment->birth > origin_) counts_.value_pages -= static_cast<int64_t>(segment->pages());
  if (segment->birth > held_) freed_.push_back({segment->page, segment->pages()});
  return {};
}

Result<> TreeMerge::leaf_contents(const std::byte* page, std::span<const Change> changes,
                                  Contents& out) {
  const PageView view(page);
  const std::string_view prefix = view.prefix();
  auto change = changes.begin();
  for (size_t i = 0; i < view.count(); i++) {
    const std::string_view key = out.text.join(prefix, view.suffix(i));
    if (key.size() < kTreeBytes) return fail(Errc::kInvalid, "a key in a tree is too short");
    while (change != changes.end() && change->key < key) {
      if (!change->remove) TRY_VOID(put(*change, out));
      ++change;
    }
    if (change != changes.end() && change->key == key) {
      TRY_VOID(replaced(key, view.payload(i), *change));
      if (!change->remove) TRY_VOID(put(*change, out));
      ++change;
    } else {
      out.add({.key = key, .payload = view.payload(i), .child = {}}, kLeafPage);
    }
  }
  for (; change != changes.end(); ++change)
    if (!change->remove) TRY_VOID(put(*change, out));
  return {};
}

TreeMerge::Bounds TreeMerge::Parent::of(size_t child) const {
  Bounds of;
  if (child == 0)
    of.from = bounds.from;
  else
    view.copy_key(child, of.from);
  if (child + 1 == view.count())
    of.to = bounds.to;
  else
    view.copy_key(child + 1, of.to.emplace());
  return of;
}

// A store may be hostile; and what is packed together must be in order.
Result<> TreeMerge::check_bounds(const Pointer& pointer, const std::byte* page,
                                 const Bounds& bounds) {
  const PageView view(page);
  view.copy_key(0, key_);
  bool good = key_ >= bounds.from;
  view.copy_key(view.count() - 1, key_);
  good = good && (!bounds.to || key_ < *bounds.to);
  if (good) return {};
  return fail(Errc::kInvalid, "page " + std::to_string(pointer.page) +
                                  " has keys that its parent does not lead to");
}

Result<> TreeMerge::contents_of(const Pointer& pointer, const std::byte* page, unsigned level,
                                const Bounds& bounds, std::span<const Change> changes,
                                Contents& out) {
  TRY_VOID(check_bounds(pointer, page, bounds));
  TRY_VOID(level == 0 ? leaf_contents(page, changes, out)
                      : inner_contents(page, level, bounds, changes, out));
  out.sources++;
  if (reader_.cache().peek(pointer.page) != nullptr) out.cached++;
  let_go(pointer, level);
  return {};
}

// Takes a neighbour in, so that it is not left alone with too little.
Result<> TreeMerge::absorb(const Pointer& pointer, unsigned level, const Bounds& bounds,
                           Contents& into) {
  into.pages.push_back(std::make_unique_for_overwrite<std::byte[]>(kPageBytes * 2));
  const auto start = reinterpret_cast<uintptr_t>(into.pages.back().get());
  std::byte* const page = into.pages.back().get() + (round_up(start, kPageBytes) - start);
  TRY_VOID(reader_.copy(std::span(&pointer, 1), level, page));
  return contents_of(pointer, page, level, bounds, {}, into);
}

Result<> TreeMerge::pass_untouched(const Parent& parent, size_t child, Run& run, Contents& out) {
  const unsigned below = parent.view.level() - 1;
  const Pointer pointer = parent.view.child(child);
  if (run.open && run.contents.bytes < kUnderfull)
    return absorb(pointer, below, parent.of(child), run.contents);
  TRY_VOID(close(run, below, out));
  // The first one's key is as low as any that may be in it: its page may come behind another.
  const std::string_view key = child == 0
                                   ? out.text.join(parent.bounds.from, {})
                                   : out.text.join(parent.view.prefix(), parent.view.suffix(child));
  out.add({.key = key, .payload = {}, .child = pointer}, kInnerPage);
  return {};
}

// A group of touched children, and the untouched ones before and between them.
Result<> TreeMerge::touched_contents(const Parent& parent, std::span<const Touched> touched,
                                     Run& run, size_t& next_child, Contents& out) {
  const PageView& view = parent.view;
  const unsigned below = view.level() - 1;
  std::vector<Pointer> pointers;
  for (const Touched& part : touched) pointers.push_back(view.child(part.child));
  LaneMemory memory;
  if (spare_.empty()) {
    memory = TRY(LaneMemory::allocate(reader_.lane(), kGroup * kPageBytes));
  } else {
    memory = std::move(spare_.back());
    spare_.pop_back();
  }
  TRY_VOID(reader_.copy(pointers, below, memory.bytes().data()));
  for (size_t i = 0; i < touched.size(); i++) {
    while (next_child < touched[i].child) TRY_VOID(pass_untouched(parent, next_child++, run, out));
    const Bounds bounds = parent.of(touched[i].child);
    if (!run.open) {
      run.open = true;
      run.lower = bounds.from;
    }
    TRY_VOID(contents_of(pointers[i], memory.bytes().data() + i * kPageBytes, below, bounds,
                         touched[i].changes, run.contents));
    next_child++;
    if (run.contents.bytes > kRunBytes) TRY_VOID(close(run, below, out));
  }
  // Its entries show this group's pages. What is too little goes on with copies of them.
  if (run.open && run.contents.bytes >= kUnderfull) TRY_VOID(close(run, below, out));
  for (PageEntry& entry : run.contents.entries)
    entry.payload = bytes_of(run.contents.text.join(text_of(entry.payload), {}));
  spare_.push_back(std::move(memory));
  return {};
}

Result<> TreeMerge::inner_contents(const std::byte* page, unsigned level, const Bounds& bounds,
                                   std::span<const Change> changes, Contents& out) {
  const Parent parent{PageView(page), bounds};
  const PageView& view = parent.view;
  std::vector<Touched> touched;
  std::string next_key;
  for (size_t i = 0; i < view.count() && !changes.empty(); i++) {
    size_t count = changes.size();
    if (i + 1 < view.count()) {
      view.copy_key(i + 1, next_key);
      count = static_cast<size_t>(
          std::ranges::lower_bound(changes, std::string_view(next_key), {}, &Change::key) -
          changes.begin());
    }
    if (count != 0) touched.push_back({i, changes.first(count)});
    changes = changes.subspan(count);
  }
  Run run;
  size_t next_child = 0;
  for (size_t first = 0; first < touched.size(); first += kGroup)
    TRY_VOID(touched_contents(
        parent, std::span(touched).subspan(first, std::min(kGroup, touched.size() - first)), run,
        next_child, out));
  while (next_child < view.count()) TRY_VOID(pass_untouched(parent, next_child++, run, out));
  // Nothing follows: the one before takes it, unless that was written just now.
  if (run.open && run.contents.bytes < kUnderfull && !run.contents.entries.empty() &&
      !out.entries.empty() && out.entries.back().child.birth != generation_) {
    const PageEntry before = out.entries.back();
    out.entries.pop_back();
    out.bytes -= entry_bytes(before, kInnerPage, 0);
    Run joined{.open = true, .lower = std::string(before.key), .contents = {}};
    TRY_VOID(absorb(before.child, level - 1, {joined.lower, run.lower}, joined.contents));
    for (const PageEntry& entry : run.contents.entries)
      joined.contents.add(entry, kind_of(level - 1));
    joined.contents.sources += run.contents.sources;
    joined.contents.cached += run.contents.cached;
    return close(joined, level - 1, out);
  }
  return close(run, level - 1, out);
}

Result<Root> TreeMerge::merge(const Root& root, std::span<const Change> changes, uint64_t held,
                              uint64_t origin) {
  if (changes.empty()) return root;
  held_ = held;
  origin_ = origin;
  Contents contents;
  unsigned level = 0;
  if (root.pointer) {
    level = root.level;
    TRY_VOID([&]() -> Result<> {
      contents.pages.push_back(std::make_unique_for_overwrite<std::byte[]>(kPageBytes * 2));
      const auto start = reinterpret_cast<uintptr_t>(contents.pages.back().get());
      std::byte* const page = contents.pages.back().get() + (round_up(start, kPageBytes) - start);
      TRY_VOID(reader_.copy(std::span(&root.pointer, 1), level, page));
      return contents_of(root.pointer, page, level, {}, changes, contents);
    }());
  } else {
    for (const Change& change : changes)
      if (!change.remove) TRY_VOID(put(change, contents));
  }
  while (!contents.entries.empty()) {
    if (level > 0 && contents.entries.size() == 1)
      return Root{contents.entries.front().child, level - 1};
    Contents above;
    TRY_VOID(pack(contents, level, {}, above));
    if (above.entries.size() == 1) return Root{above.entries.front().child, level};
    contents = std::move(above);
    level++;
  }
  return Root();
}

}  // namespace splitring::kv
