// Carries changes into a tree: reads the pages that they touch, writes new ones, and says what the
// old ones were. The tree as it was stays whole.
//
// Leaves that lie side by side and are touched are rewritten together, so that what grew is split
// evenly and what shrank is joined. Each touched page is read and written once, however many of its
// entries change. One thread; nothing is durable before its PageWriter's finish() and a flush.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/tree/memtable.h"
#include "kv/tree/page_io.h"
#include "kv/tree/space_map.h"

namespace splitring::kv {

// A tree of pages; none: empty.
struct Root {
  Pointer pointer;
  unsigned level = 0;
  bool operator==(const Root&) const = default;
};

struct Change {
  std::string_view key;  // with its tree, without a branch
  bool remove = false;
  Bytes payload;
  // What came directly after what is in the tree now: it decides whether a value that lay elsewhere
  // is gone. Null: a removal.
  const Memtable::Version* oldest = nullptr;
};

// Whether a value elsewhere is gone when `next` comes behind `payload` under its key.
[[nodiscard]] bool ends_value(Bytes payload, const Memtable::Version* next);

class TreeMerge {
 public:
  struct Counts {
    int64_t leaf_pages = 0;
    int64_t inner_pages = 0;
    int64_t value_pages = 0;
  };

  TreeMerge(PageReader& reader, PageWriter& writer, SpaceMap& space, uint64_t generation)
      : reader_(reader), writer_(writer), space_(space), generation_(generation) {}
  ~TreeMerge();
  TreeMerge(const TreeMerge&) = delete;
  TreeMerge& operator=(const TreeMerge&) = delete;

  // Pages born after `held` belong to this tree alone and are freed when they are replaced; older
  // ones are a snapshot's. Those born up to `origin` are counted with the tree that it began as.
  // Precondition: sorted, no key twice. kNoSpace; kIo; kInvalid: a page has keys that its parent
  // does not lead to.
  Result<Root> merge(const Root& root, std::span<const Change> changes, uint64_t held,
                     uint64_t origin);

  // Values elsewhere that are gone, by number; since the last call.
  std::vector<uint64_t> take_ended() { return std::move(ended_); }
  // A page run of a value that no tree names any more.
  void free_value(const PageRun& run) { freed_.push_back(run); }
  // Of a tree that is gone.
  void uncount(const Counts& gone);

  [[nodiscard]] uint64_t freed_pages() const;
  [[nodiscard]] const Counts& counts() const { return counts_; }
  // The pages in use from now on, and those that are not. The merge is over.
  std::vector<PageRun> take_used();
  std::vector<PageRun> take_freed() { return std::move(freed_); }

 private:
  // Text that does not move.
  class Arena {
   public:
    std::string_view join(std::string_view a, std::string_view b);

   private:
    std::vector<std::unique_ptr<char[]>> chunks_;
    size_t left_ = 0;
    char* at_ = nullptr;
  };
  // What will be in pages: entries, and the memory that they show.
  struct Contents {
    std::vector<PageEntry> entries;
    Arena text;
    std::vector<std::unique_ptr<std::byte[]>> pages;
    size_t bytes = 0;
    size_t sources = 0;  // pages that it comes from
    size_t cached = 0;   // those of them that were in memory
    void add(const PageEntry& entry, uint8_t kind);
  };
  struct Run {
    bool open = false;
    std::string lower;  // of the first child in it
    Contents contents;
  };
  struct Touched {
    size_t child;
    std::span<const Change> changes;
  };
  // The keys that a page may have.
  struct Bounds {
    std::string from;
    std::optional<std::string> to;  // before it; none: to the last
  };
  struct Parent {
    PageView view;
    const Bounds& bounds;
    // Its first child has all keys from its own first one on, whatever stands beside the child.
    [[nodiscard]] Bounds of(size_t child) const;
  };

  Result<> check_bounds(const Pointer& pointer, const std::byte* page, const Bounds& bounds);
  Result<> contents_of(const Pointer& pointer, const std::byte* page, unsigned level,
                       const Bounds& bounds, std::span<const Change> changes, Contents& out);
  Result<> leaf_contents(const std::byte* page, std::span<const Change> changes, Contents& out);
  Result<> inner_contents(const std::byte* page, unsigned level, const Bounds& bounds,
                          std::span<const Change> changes, Contents& out);
  Result<> touched_contents(const Parent& parent, std::span<const Touched> touched, Run& run,
                            size_t& next_child, Contents& out);
  Result<> pass_untouched(const Parent& parent, size_t child, Run& run, Contents& out);
  Result<> absorb(const Pointer& pointer, unsigned level, const Bounds& bounds, Contents& into);
  Result<> close(Run& run, unsigned level, Contents& out);
  Result<> put(const Change& change, Contents& out);
  Result<> replaced(std::string_view key, Bytes old, const Change& change);
  // Writes `contents` as pages of `level`, and their separators and pointers to `out`.
  Result<> pack(const Contents& contents, unsigned level, std::string_view lower, Contents& out);
  // `wanted`: it stays in memory as if somebody had read it.
  Result<Pointer> write(std::span<const PageEntry> entries, unsigned level, bool wanted);
  Result<uint64_t> new_page();
  void let_go(const Pointer& pointer, unsigned level);

  PageReader& reader_;
  PageWriter& writer_;
  SpaceMap& space_;
  const uint64_t generation_;
  uint64_t held_ = 0;
  uint64_t origin_ = 0;
  std::string key_;              // scratch
  PageRun room_;                 // allocated, its first pages not yet used
  std::vector<PageRun> used_;    // pages of trees
  std::vector<PageRun> values_;  // of segments that came into the tree
  std::vector<PageRun> freed_;
  std::vector<uint64_t> ended_;
  Counts counts_;
  std::vector<LaneMemory> spare_;  // to read groups of pages into; reused
};

}  // namespace splitring::kv
