#include "kv/tree/page.h"

#include <algorithm>
#include <cassert>

namespace splitring::kv {

Result<> PageView::check(const std::byte* page, uint64_t number, unsigned level, uint64_t pages) {
  DiskPageHeader header;
  std::memcpy(&header, page, sizeof header);
  const auto bad = [&](const char* what) {
    return fail(Errc::kInvalid, "page " + std::to_string(number) + ": " + what);
  };
  const uint8_t kind = level == 0 ? kLeafPage : kInnerPage;
  if (header.kind != kind) return bad("is no page of its kind");
  if (header.level != level) return bad("is of another level than its parent says");
  if (header.page != number) return bad("carries another page's number");
  const size_t slots = slots_offset(header.prefix_bytes);
  const size_t end_of_slots = slots + size_t{header.count} * kSlotBytes;
  if (header.count == 0 || end_of_slots > kPageBytes) return bad("its entries overflow it");
  const size_t fixed = kind == kLeafPage ? 2 : sizeof(DiskPointer);
  std::string_view before;
  for (size_t i = 0; i < header.count; i++) {
    const std::byte* const slot = page + slots + i * kSlotBytes;
    const size_t cell = load_le<uint16_t>(slot + 4);
    const size_t key_bytes = load_le<uint16_t>(slot + 6);
    if (cell < end_of_slots || cell + fixed + key_bytes > kPageBytes)
      return bad("an entry lies outside it");
    if (header.prefix_bytes + key_bytes > kMaxPageKeyBytes) return bad("a key is too long");
    const size_t payload_bytes = kind == kLeafPage ? load_le<uint16_t>(page + cell) : 0;
    if (payload_bytes > kMaxPayloadBytes) return bad("a value is too long");
    if (cell + fixed + key_bytes + payload_bytes > kPageBytes)
      return bad("a value lies outside it");
    if (kind == kInnerPage &&
        (load_le<uint64_t>(page + cell) >= pages || load_le<uint64_t>(page + cell) == 0))
      return bad("a child lies outside the store");
    const std::string_view suffix(reinterpret_cast<const char*>(page + cell + fixed), key_bytes);
    if (load_le<uint32_t>(slot) != head_of(suffix)) return bad("a slot does not match its key");
    if (i != 0 && suffix <= before) return bad("its keys are out of order");
    before = suffix;
  }
  return {};
}

size_t PageView::search(std::string_view rest, bool& equal) const {
  const uint32_t head = head_of(rest);
  size_t low = 0;
  size_t high = count_;
  equal = false;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const uint32_t other = load_le<uint32_t>(slots_ + middle * kSlotBytes);
    int order = other < head ? -1 : other > head ? 1 : 0;
    if (order == 0) {
      order = suffix(middle).compare(rest);
      if (order == 0) {
        equal = true;
        return middle;
      }
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Of the key's beginning with the page's prefix; 0: it begins with it.
int PageView::compare_prefix(std::string_view key) const {
  return key.substr(0, prefix_bytes_).compare(prefix());
}

size_t PageView::lower_bound(std::string_view key) const {
  const int order = compare_prefix(key);
  if (order != 0) return order < 0 ? 0 : count_;
  bool equal;
  return search(key.substr(prefix_bytes_), equal);
}

std::optional<size_t> PageView::find(std::string_view key) const {
  if (compare_prefix(key) != 0) return std::nullopt;
  bool equal;
  const size_t i = search(key.substr(prefix_bytes_), equal);
  if (!equal) return std::nullopt;
  return i;
}

size_t PageView::child_of(std::string_view key) const {
  const int order = compare_prefix(key);
  if (order != 0) return order < 0 ? 0 : count_ - 1;
  bool equal;
  const size_t i = search(key.substr(prefix_bytes_), equal);
  return equal || i == 0 ? i : i - 1;
}

size_t common_prefix(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

std::string_view shortest_separator(std::string_view before, std::string_view key) {
  return key.substr(0, std::min(common_prefix(before, key) + 1, key.size()));
}

void build_page(std::byte* page, uint8_t kind, unsigned level, uint64_t number, uint64_t birth,
                std::span<const PageEntry> entries) {
  assert(!entries.empty());
  const std::string_view first = entries.front().key;
  const size_t prefix_bytes = common_prefix(first, entries.back().key);
  DiskPageHeader header;
  header.kind = kind;
  header.level = static_cast<uint8_t>(level);
  header.count = static_cast<uint16_t>(entries.size());
  header.prefix_bytes = static_cast<uint16_t>(prefix_bytes);
  header.page = number;
  header.birth = birth;
  first.copy(reinterpret_cast<char*>(page + sizeof header), prefix_bytes);
  const size_t slots = PageView::slots_offset(prefix_bytes);
  const size_t end_of_slots = slots + entries.size() * kSlotBytes;
  size_t heap = kPageBytes;
  for (size_t i = 0; i < entries.size(); i++) {
    const PageEntry& entry = entries[i];
    const std::string_view suffix = entry.key.substr(prefix_bytes);
    heap -= entry_bytes(entry, kind, prefix_bytes) - kSlotBytes;
    assert(heap >= end_of_slots);
    std::byte* at = page + heap;
    if (kind == kLeafPage) {
      store_le(at, static_cast<uint16_t>(entry.payload.size()));
      at += 2;
    } else {
      store_pointer(at, entry.child);
      at += sizeof(DiskPointer);
    }
    if (!suffix.empty()) std::memcpy(at, suffix.data(), suffix.size());
    if (!entry.payload.empty())
      std::memcpy(at + suffix.size(), entry.payload.data(), entry.payload.size());
    std::byte* const slot = page + slots + i * kSlotBytes;
    store_le(slot, head_of(suffix));
    store_le(slot + 4, static_cast<uint16_t>(heap));
    store_le(slot + 6, static_cast<uint16_t>(suffix.size()));
  }
  header.heap = static_cast<uint16_t>(heap);
  std::memcpy(page, &header, sizeof header);
  // No old bytes reach the disk.
  std::memset(page + sizeof header + prefix_bytes, 0, slots - sizeof header - prefix_bytes);
  std::memset(page + end_of_slots, 0, heap - end_of_slots);
}

}  // namespace splitring::kv
