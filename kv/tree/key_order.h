// Puts many keys in order by looking at eight bytes of each at a time, as numbers: a good deal
// faster than comparing pairs of keys that lie anywhere in memory. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "kv/tree/format.h"

namespace splitring::kv {

// Eight bytes, zeroes behind a shorter text, as a number that orders as they do.
[[nodiscard]] inline uint64_t order_of(std::string_view text) {
  if (text.size() >= 8)
    return __builtin_bswap64(load_le<uint64_t>(reinterpret_cast<const std::byte*>(text.data())));
  uint64_t order = 0;
  for (size_t i = 0; i < 8; i++)
    order = order << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
  return order;
}

// Owner: whatever has a key().
template <class Owner>
class KeySort {
 public:
  struct Item {
    uint64_t head;  // order_of() the key behind the bytes that are known to be the same
    Owner* owner;
  };

  // Sorts by key; those that are equal stay in their order. All keys have the same first `depth`
  // bytes at least, and each `head` is of what is behind those. `spare`: as much again, for its
  // use.
  static void sort(std::span<Item> items, size_t depth, std::span<Item> spare) {
    sort_by_head(items, spare);
    for (size_t first = 0; first < items.size();) {
      size_t end = first + 1;
      while (end < items.size() && items[end].head == items[first].head) end++;
      if (end - first > 1) sort_equal(items.subspan(first, end - first), depth, spare);
      first = end;
    }
  }

 private:
  static constexpr size_t kStep = 8;
  static constexpr size_t kFew = 32;

  static void sort_by_head(std::span<Item> items, std::span<Item> spare) {
    if (items.size() > kFew) return sort_by_counting(items, spare);
    insert_in_order(items, [](const Item& item) { return item.head; });
  }

  template <class Number>
  static void insert_in_order(std::span<Item> items, const Number& number) {
    for (size_t i = 1; i < items.size(); i++) {
      const Item item = items[i];
      size_t at = i;
      for (; at > 0 && number(item) < number(items[at - 1]); at--) items[at] = items[at - 1];
      items[at] = item;
    }
  }

  // A byte at a time from the last one on; a byte that all have in common is skipped.
  static void sort_by_counting(std::span<Item> items, std::span<Item> spare) {
    std::array<std::array<uint32_t, 256>, kStep> counts{};
    for (const Item& item : items)
      for (size_t i = 0; i < kStep; i++) counts[i][item.head >> (8 * i) & 0xff]++;
    std::span<Item> from = items;
    std::span<Item> to = spare.first(items.size());
    for (size_t i = 0; i < kStep; i++) {
      auto& count = counts[i];
      if (count[from[0].head >> (8 * i) & 0xff] == items.size()) continue;
      uint32_t sum = 0;
      for (uint32_t& each : count) sum += std::exchange(each, sum);
      for (const Item& item : from) to[count[item.head >> (8 * i) & 0xff]++] = item;
      std::swap(from, to);
    }
    if (from.data() != items.data()) std::ranges::copy(from, items.begin());
  }

  // Those whose next eight bytes are the same. Where a key ended among them, its zeroes stand for
  // nothing: the shorter one comes first.
  static void sort_equal(std::span<Item> items, size_t depth, std::span<Item> spare) {
    const auto left = [&](const Item& item) {
      return std::min(item.owner->key().size() - depth, kStep + 1);
    };
    if (!std::ranges::all_of(items, [&](const Item& item) { return left(item) > kStep; })) {
      for (Item& item : items) item.head = left(item);
      sort_by_head(items, spare);
    }
    const auto longer =
        std::ranges::find_if(items, [&](const Item& item) { return left(item) > kStep; });
    const std::span<Item> rest(longer, items.end());
    for (Item& item : rest) item.head = order_of(item.owner->key().substr(depth + kStep));
    if (rest.size() > 1) sort(rest, depth + kStep, spare);
  }
};

}  // namespace splitring::kv
