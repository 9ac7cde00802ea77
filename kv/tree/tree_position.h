// A place in a tree of pages: at an entry of a copy of a leaf, or at none.
//
// Belongs to one thread. The tree's pages stay as long as whoever made it sees to that (a pinned
// view); the leaf that it stands in is its own. Errors: the medium's, a damaged page.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kv/tree/page_io.h"
#include "kv/tree/tree_merge.h"

namespace splitring::kv {

// Keys as in a page.
class TreePosition {
 public:
  // Of the keys from `from` on and before `to`; empty: from the first, to the last.
  TreePosition(const Root& root, PageReader& reader, std::string from = {}, std::string to = {});
  TreePosition(TreePosition&&) noexcept = default;

  // The first entry that is not before `key`; the last that is before it. Precondition: `key` is
  // not before `from`; not behind `to`.
  Result<> seek(std::string_view key);
  Result<> seek_before(std::string_view key);
  // Precondition: valid().
  Result<> next() { return next_in_leaf() ? Result<>() : leave(true); }
  Result<> previous();
  // To the next entry if it is in the same leaf; false: it is not, and nothing has changed.
  bool next_in_leaf() {
    if (index_ + 1 >= end_) return false;
    index_++;
    show();
    prefetch_next_leaf();
    return true;
  }

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] std::string_view key() const { return {own_->key, key_bytes_}; }
  [[nodiscard]] Bytes payload() const { return payload_; }

 private:
  // Behind the leaf, so that a short key can be copied with no look at its length.
  static constexpr size_t kSlack = 32;
  static constexpr size_t kLineBytes = 64;  // of the processor's cache
  static constexpr size_t kLines = kPageBytes / kLineBytes;

  struct Step {
    Pointer pointer;
    size_t index = 0;
  };
  struct LeafAndKey {
    std::byte leaf[kPageBytes];
    std::byte slack[kSlack];
    char key[kMaxPageKeyBytes + kSlack];
  };

  Result<> descend(Pointer pointer, unsigned level, std::string_view key, bool last);
  Result<> leave(bool forward);
  void take_leaf(const std::byte* page);
  void show() {
    const std::string_view suffix = view_.suffix(index_);
    const size_t prefix_bytes = view_.prefix().size();
    char* const to = own_->key + prefix_bytes;
    if (suffix.size() <= kSlack)
      std::memcpy(to, suffix.data(), kSlack);  // both have slack behind them
    else
      std::memcpy(to, suffix.data(), suffix.size());
    key_bytes_ = prefix_bytes + suffix.size();
    payload_ = view_.payload(index_);
    valid_ = true;
  }
  // A few lines of what comes next, so that they are there when it does.
  void prefetch_next_leaf() {
    if (next_leaf_ == nullptr) return;
    const size_t first = index_ * lines_at_once_;
    for (size_t line = first; line < std::min(first + lines_at_once_, kLines); line++)
      __builtin_prefetch(next_leaf_ + line * kLineBytes, 0, 2);
  }

  Root root_;
  PageReader* reader_;
  std::string from_;
  std::string to_;
  std::vector<Step> steps_;  // root first, the leaf's parent last
  std::unique_ptr<LeafAndKey> own_;
  PageView view_;  // of the leaf
  size_t begin_ = 0;
  size_t end_ = 0;  // entries of the leaf that are within the bounds
  size_t index_ = 0;
  bool valid_ = false;
  const std::byte* next_leaf_ = nullptr;  // where it is, or was, in memory; not looked at
  size_t lines_at_once_ = 0;
  size_t key_bytes_ = 0;
  Bytes payload_;
};

}  // namespace splitring::kv
