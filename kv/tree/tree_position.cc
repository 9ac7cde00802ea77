#include "kv/tree/tree_position.h"

namespace splitring::kv {
namespace {

constexpr size_t kReadAhead = 32;  // leaves

// The leaves behind this one are wanted next, if it was not in memory: many reads in flight instead
// of one after another.
struct ReadAhead {
  std::array<PageReader::Wanted, kReadAhead> wanted;
  size_t count = 0;

  void note(const PageView& parent, size_t from, PageReader& reader) {
    if (reader.cached(parent.child(from)) != nullptr) return;
    count = std::min(kReadAhead, parent.count() - from);
    for (size_t i = 0; i < count; i++) wanted[i] = {parent.child(from + i), 0};
  }
};

}  // namespace

TreePosition::TreePosition(const Root& root, PageReader& reader, std::string from, std::string to)
    : root_(root), reader_(&reader), from_(std::move(from)), to_(std::move(to)) {}

void TreePosition::take_leaf(const std::byte* page) {
  if (own_ == nullptr) own_ = std::make_unique_for_overwrite<LeafAndKey>();
  std::memcpy(own_->leaf, page, kPageBytes);
  view_ = PageView(own_->leaf);
  view_.prefix().copy(own_->key, kMaxPageKeyBytes);
  begin_ = from_.empty() ? 0 : view_.lower_bound(from_);
  end_ = to_.empty() ? view_.count() : view_.lower_bound(to_);
  lines_at_once_ = kLines / view_.count() + 1;
}

// Down to the leaf that holds `key`, or to the first or last one; leaves index_ open.
Result<> TreePosition::descend(Pointer pointer, unsigned level, std::string_view key, bool last) {
  const Pin pinned = reader_->pin();
  for (;; level--) {
    const std::byte* const page = TRY(reader_->fetch(pointer, level));
    if (level == 0) {
      take_leaf(page);
      return {};
    }
    const PageView view(page);
    const size_t index = last ? view.count() - 1 : view.child_of(key);
    steps_.push_back({pointer, index});
    pointer = view.child(index);
  }
}

Result<> TreePosition::seek(std::string_view key) {
  valid_ = false;
  steps_.clear();
  next_leaf_ = nullptr;
  if (!root_.pointer) return {};
  TRY_VOID(descend(root_.pointer, root_.level, key, false));
  index_ = view_.lower_bound(key);
  if (index_ == view_.count()) return leave(true);
  if (index_ < end_) show();
  return {};
}

Result<> TreePosition::seek_before(std::string_view key) {
  valid_ = false;
  steps_.clear();
  next_leaf_ = nullptr;
  if (!root_.pointer) return {};
  TRY_VOID(descend(root_.pointer, root_.level, key, false));
  index_ = view_.lower_bound(key);
  return previous();
}

Result<> TreePosition::previous() {
  if (index_ == 0) return leave(false);
  index_--;
  if (index_ >= begin_)
    show();
  else
    valid_ = false;
  return {};
}

// To the first entry of the leaf behind, or the last entry of the leaf before this one.
Result<> TreePosition::leave(bool forward) {
  valid_ = false;
  if (forward && end_ < view_.count()) return {};  // the bound is in this leaf
  while (!steps_.empty()) {
    Step& step = steps_.back();
    const auto level = static_cast<unsigned>(root_.level + 1 - steps_.size());
    Pointer child;
    ReadAhead ahead;
    {
      const Pin pinned = reader_->pin();
      const PageView view(TRY(reader_->fetch(step.pointer, level)));
      if (forward ? step.index + 1 == view.count() : step.index == 0) {
        steps_.pop_back();
        continue;
      }
      step.index = forward ? step.index + 1 : step.index - 1;
      child = view.child(step.index);
      if (forward && level == 1) ahead.note(view, step.index, *reader_);
      const bool more = forward && level == 1 && step.index + 1 < view.count();
      next_leaf_ = more ? reader_->cached(view.child(step.index + 1)) : nullptr;
    }
    if (ahead.count != 0) reader_->prefetch(std::span(ahead.wanted).first(ahead.count));
    TRY_VOID(descend(child, level - 1, {}, !forward));
    index_ = forward ? 0 : view_.count() - 1;
    if (index_ >= begin_ && index_ < end_) show();
    return {};
  }
  return {};
}

}  // namespace splitring::kv
