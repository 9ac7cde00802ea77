#include "kv/tree/page_division.h"

#include <algorithm>

namespace splitring::kv {
namespace {

// A page that entries are added to, all of them from the same end.
class Fill {
 public:
  explicit Fill(uint8_t kind) : kind_(kind) {}

  // What the page would take with `entry` too.
  [[nodiscard]] size_t bytes_with(const PageEntry& entry) const {
    const size_t prefix = count_ == 0 ? entry.key.size() : common_prefix(outermost_, entry.key);
    return PageView::slots_offset(prefix) + whole_bytes_ + entry_bytes(entry, kind_, 0) -
           (count_ + 1) * prefix;
  }
  void add(const PageEntry& entry, size_t bytes) {
    if (count_++ == 0) outermost_ = entry.key;
    whole_bytes_ += entry_bytes(entry, kind_, 0);
    bytes_ = bytes;
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  const uint8_t kind_;
  std::string_view outermost_;  // at the end that entries are not added to
  size_t count_ = 0;
  size_t whole_bytes_ = 0;  // of the entries, with nothing taken out
  size_t bytes_ = 0;
};

// Pages filled from the last entry on, each as far as it goes: where each begins, the last first.
// They are as few as can be; and what begins where one of them does, or later, needs no more pages
// than it does.
std::vector<size_t> latest_begins(std::span<const PageEntry> entries, uint8_t kind,
                                  size_t& total_bytes) {
  std::vector<size_t> begins;
  total_bytes = 0;
  for (size_t first = entries.size(); first > 0; begins.push_back(first)) {
    Fill fill(kind);
    for (; first > 0; first--) {
      const size_t bytes = fill.bytes_with(entries[first - 1]);
      if (!fill.empty() && bytes > kPageBytes) break;
      fill.add(entries[first - 1], bytes);
    }
    total_bytes += fill.bytes();
  }
  return begins;
}

}  // namespace

std::vector<size_t> divide_into_pages(std::span<const PageEntry> entries, uint8_t kind) {
  size_t total_bytes;
  std::vector<size_t> begins = latest_begins(entries, kind, total_bytes);
  if (begins.empty()) return {};
  const size_t fair = (total_bytes + begins.size() - 1) / begins.size();
  std::vector<size_t> ends;
  size_t end = 0;
  while (end < entries.size()) {
    begins.pop_back();
    // The page goes on at least to here, or the rest would not fit in those that are left.
    const size_t least = begins.empty() ? entries.size() : begins.back();
    Fill fill(kind);
    for (; end < entries.size(); end++) {
      const size_t bytes = fill.bytes_with(entries[end]);
      const bool enough = bytes > kPageBytes || (fill.bytes() + bytes) / 2 > fair;
      if (!fill.empty() && end >= least && enough) break;
      fill.add(entries[end], bytes);
    }
    ends.push_back(end);
  }
  return ends;
}

}  // namespace splitring::kv
