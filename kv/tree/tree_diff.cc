#include "kv/tree/tree_diff.h"

#include <algorithm>
#include <unordered_set>

#include "kv/tree/payload.h"

namespace splitring::kv {
namespace {

constexpr size_t kGroup = PageReader::kMostInFlight;

// Entries of a row of leaves, in order.
class LeafStream {
 public:
  LeafStream(const std::vector<Pointer>& leaves, PageReader& reader)
      : leaves_(leaves), reader_(reader) {}

  // Loads the next entry; false: the end.
  Result<bool> next() {
    while (true) {
      if (index_ < count_) {
        const PageView view(page());
        view.copy_key(index_, key_);
        payload_ = view.payload(index_++);
        return true;
      }
      if (++leaf_ < loaded_) {
        start_leaf();
        continue;
      }
      if (group_ == leaves_.size()) return false;
      loaded_ = std::min(kGroup, leaves_.size() - group_);
      if (memory_.bytes().empty())
        memory_ = TRY(LaneMemory::allocate(reader_.lane(), kGroup * kPageBytes));
      TRY_VOID(
          reader_.copy(std::span(leaves_).subspan(group_, loaded_), 0, memory_.bytes().data()));
      group_ += loaded_;
      leaf_ = 0;
      start_leaf();
    }
  }
  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] Bytes payload() const { return payload_; }

 private:
  [[nodiscard]] const std::byte* page() const {
    return memory_.bytes().data() + leaf_ * kPageBytes;
  }
  void start_leaf() {
    index_ = 0;
    count_ = PageView(page()).count();
  }

  const std::vector<Pointer>& leaves_;
  PageReader& reader_;
  LaneMemory memory_;
  size_t group_ = 0;  // leaves that have been loaded, at all
  size_t loaded_ = 0;
  size_t leaf_ = 0;
  size_t index_ = 0;
  size_t count_ = 0;
  std::string key_;
  Bytes payload_;
};

void remove_common(std::vector<Pointer>& a, std::vector<Pointer>& b) {
  const auto pages = [](const std::vector<Pointer>& row) {
    std::unordered_set<uint64_t> set;
    for (const Pointer& pointer : row) set.insert(pointer.page);
    return set;
  };
  const auto in_a = pages(a);
  const auto in_b = pages(b);
  std::erase_if(a, [&](const Pointer& pointer) { return in_b.contains(pointer.page); });
  std::erase_if(b, [&](const Pointer& pointer) { return in_a.contains(pointer.page); });
}

using Seen = std::unordered_set<uint64_t>;

// Precondition: what is in `seen` is of this tree, too.
Result<std::vector<Pointer>> children_of(const std::vector<Pointer>& row, unsigned level,
                                         Seen& seen, PageReader& reader) {
  std::vector<Pointer> children;
  const auto memory = TRY(LaneMemory::allocate(reader.lane(), kGroup * kPageBytes));
  for (size_t first = 0; first < row.size(); first += kGroup) {
    const size_t count = std::min(kGroup, row.size() - first);
    TRY_VOID(reader.copy(std::span(row).subspan(first, count), level, memory.bytes().data()));
    for (size_t i = 0; i < count; i++) {
      const PageView view(memory.bytes().data() + i * kPageBytes);
      for (size_t child = 0; child < view.count(); child++) {
        children.push_back(view.child(child));
        if (!seen.insert(children.back().page).second)
          return fail(Errc::kInvalid, "page " + std::to_string(children.back().page) +
                                          " is in two places of one tree");
      }
    }
  }
  return children;
}

}  // namespace

Result<PageDifference> differing_pages(const Root& before, const Root& after, PageReader& reader) {
  PageDifference difference;
  std::vector<Pointer> rows[2];
  Seen seen[2];
  const Root* const roots[2] = {&before, &after};
  PageDifference::Side* const sides[2] = {&difference.before, &difference.after};
  for (unsigned level = std::max(before.level, after.level);; level--) {
    for (size_t side = 0; side < 2; side++)
      if (roots[side]->pointer && roots[side]->level == level)
        rows[side].push_back(roots[side]->pointer);
    remove_common(rows[0], rows[1]);
    for (size_t side = 0; side < 2; side++) {
      auto& to = level == 0 ? sides[side]->leaves : sides[side]->inner;
      to.insert(to.end(), rows[side].begin(), rows[side].end());
      if (level != 0) rows[side] = TRY(children_of(rows[side], level, seen[side], reader));
    }
    if (level == 0) return difference;
  }
}

Result<> differing_keys(const Root& before, const Root& after, PageReader& reader,
                        const VisitDifference& visit) {
  const PageDifference pages = TRY(differing_pages(before, after, reader));
  LeafStream old_entries(pages.before.leaves, reader);
  LeafStream new_entries(pages.after.leaves, reader);
  bool has_old = TRY(old_entries.next());
  bool has_new = TRY(new_entries.next());
  while (has_old || has_new) {
    const int order = !has_old ? 1 : !has_new ? -1 : old_entries.key().compare(new_entries.key());
    bool go_on = true;
    if (order < 0)
      go_on = TRY(visit(old_entries.key(), old_entries.payload(), std::nullopt));
    else if (order > 0)
      go_on = TRY(visit(new_entries.key(), std::nullopt, new_entries.payload()));
    else if (!std::ranges::equal(old_entries.payload(), new_entries.payload()))
      go_on = TRY(visit(new_entries.key(), old_entries.payload(), new_entries.payload()));
    if (!go_on) return {};
    if (order <= 0) has_old = TRY(old_entries.next());
    if (order >= 0) has_new = TRY(new_entries.next());
  }
  return {};
}

Result<OwnPages> pages_of_one(const Root& tree, const Root& other, uint64_t since,
                              PageReader& reader) {
  const PageDifference pages = TRY(differing_pages(tree, other, reader));
  OwnPages own;
  const auto add = [&](const std::vector<Pointer>& row, int64_t& count) {
    for (const Pointer& pointer : row) {
      if (pointer.birth <= since) continue;
      own.runs.push_back({pointer.page, 1});
      count++;
    }
  };
  add(pages.before.inner, own.counts.inner_pages);
  add(pages.before.leaves, own.counts.leaf_pages);
  std::unordered_set<uint64_t> kept;
  const auto each_segment = [&](const std::vector<Pointer>& leaves,
                                const std::function<void(const Segment&)>& use) -> Result<> {
    LeafStream entries(leaves, reader);
    while (TRY(entries.next())) {
      if (entries.key().size() < kTreeBytes || load_be32(entries.key()) != kSegmentTree) continue;
      if (const auto segment = Segment::parse(entries.payload(), reader.pages())) use(*segment);
    }
    return {};
  };
  TRY_VOID(
      each_segment(pages.after.leaves, [&](const Segment& segment) { kept.insert(segment.page); }));
  TRY_VOID(each_segment(pages.before.leaves, [&](const Segment& segment) {
    if (segment.birth <= since || kept.contains(segment.page)) return;
    own.runs.push_back({segment.page, segment.pages()});
    own.counts.value_pages += static_cast<int64_t>(segment.pages());
  }));
  return own;
}

}  // namespace splitring::kv
