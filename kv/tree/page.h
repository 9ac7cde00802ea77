// Reading and writing tree pages: sorted entries with their common prefix taken out.
//
//   | header 32 | prefix | pad to 8 | slots, 8 bytes each | free | cells, growing down |
//
// A leaf's cell: payload length (2 bytes), key behind the prefix, payload. An inner page's cell:
// pointer (32 bytes), key behind the prefix; an entry's child holds the keys from its key to the
// next entry's, and the first one's key counts as lower than any.
//
// A PageView is a pair of pointers: valid as long as the page is. check() has passed on every page
// that a view is made of; nothing else here looks for lies. Pure.
#pragma once

#include <compare>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kv/tree/format.h"

namespace splitring::kv {

using Bytes = std::span<const std::byte>;
inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// The first four bytes, as a number that orders as they do.
[[nodiscard]] inline uint32_t head_of(std::string_view key) {
  uint32_t head = 0;
  if (key.size() >= 4) {
    std::memcpy(&head, key.data(), 4);
    return __builtin_bswap32(head);
  }
  for (size_t i = 0; i < key.size(); i++)
    head |= uint32_t{static_cast<uint8_t>(key[i])} << (24 - 8 * i);
  return head;
}

class PageView {
 public:
  PageView() = default;  // of no page: nothing may be asked of it
  // Precondition: check() has passed.
  explicit PageView(const std::byte* page) : page_(page) {
    prefix_bytes_ = load_le<uint16_t>(page + 4);
    count_ = load_le<uint16_t>(page + 2);
    slots_ = page + slots_offset(prefix_bytes_);
  }

  // Whether a page that should be page `number` of `pages` and of `level` is one: kInvalid says
  // what is wrong.
  static Result<> check(const std::byte* page, uint64_t number, unsigned level, uint64_t pages);
  static constexpr size_t slots_offset(size_t prefix_bytes) {
    return (sizeof(DiskPageHeader) + prefix_bytes + 7) / 8 * 8;
  }

  [[nodiscard]] size_t count() const { return count_; }
  [[nodiscard]] unsigned level() const { return std::to_integer<unsigned>(page_[1]); }
  [[nodiscard]] std::string_view prefix() const {
    return {reinterpret_cast<const char*>(page_ + sizeof(DiskPageHeader)), prefix_bytes_};
  }
  // Behind the prefix.
  [[nodiscard]] std::string_view suffix(size_t i) const {
    const std::byte* const slot = slots_ + i * kSlotBytes;
    const size_t skip = std::to_integer<unsigned>(page_[0]) == kLeafPage ? 2 : sizeof(DiskPointer);
    return {reinterpret_cast<const char*>(page_ + load_le<uint16_t>(slot + 4) + skip),
            load_le<uint16_t>(slot + 6)};
  }
  void copy_key(size_t i, std::string& key) const {
    key.assign(prefix());
    key.append(suffix(i));
  }
  // Of a leaf.
  [[nodiscard]] Bytes payload(size_t i) const {
    const std::byte* const slot = slots_ + i * kSlotBytes;
    const std::byte* const cell = page_ + load_le<uint16_t>(slot + 4);
    return {cell + 2 + load_le<uint16_t>(slot + 6), load_le<uint16_t>(cell)};
  }
  // Of an inner page.
  [[nodiscard]] Pointer child(size_t i) const {
    return load_pointer(page_ + load_le<uint16_t>(slots_ + i * kSlotBytes + 4));
  }

  // The first entry whose key is not less than `key`; count() if there is none.
  [[nodiscard]] size_t lower_bound(std::string_view key) const;
  [[nodiscard]] std::optional<size_t> find(std::string_view key) const;
  // Of an inner page: the entry whose child holds `key`.
  [[nodiscard]] size_t child_of(std::string_view key) const;

 private:
  // The first entry whose suffix is not less than `rest`, and whether it is equal.
  [[nodiscard]] size_t search(std::string_view rest, bool& equal) const;
  [[nodiscard]] int compare_prefix(std::string_view key) const;

  const std::byte* page_ = nullptr;
  const std::byte* slots_ = nullptr;
  size_t count_ = 0;
  size_t prefix_bytes_ = 0;
};

// One entry of a page to be: either is empty.
struct PageEntry {
  std::string_view key;  // whole
  Bytes payload;
  Pointer child;
};

[[nodiscard]] size_t common_prefix(std::string_view a, std::string_view b);
// The shortest key that is greater than `before` and not greater than `key`.
[[nodiscard]] std::string_view shortest_separator(std::string_view before, std::string_view key);

// What an entry takes in a page whose prefix is `prefix_bytes` long.
[[nodiscard]] inline size_t entry_bytes(const PageEntry& entry, uint8_t kind, size_t prefix_bytes) {
  return kSlotBytes + entry.key.size() - prefix_bytes +
         (kind == kLeafPage ? 2 + entry.payload.size() : sizeof(DiskPointer));
}
// Precondition: sorted, not empty, and they fit with their common prefix taken out.
void build_page(std::byte* page, uint8_t kind, unsigned level, uint64_t number, uint64_t birth,
                std::span<const PageEntry> entries);

}  // namespace splitring::kv
