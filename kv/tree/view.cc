#include "kv/tree/view.h"

#include <algorithm>

#include "fs/tar/lane_memory.h"
#include "kv/key.h"
#include "kv/tree/lookup.h"

namespace splitring::kv {
namespace {

uint32_t raw(TreeId tree) { return static_cast<uint32_t>(tree); }

Result<Payload> parsed(Bytes payload) {
  const auto result = Payload::parse(payload);
  if (!result) return fail(Errc::kInvalid, "what is stored under a key is malformed");
  return *result;
}

bool can_be_key(std::string_view key) { return !key.empty() && key.size() <= kMaxUserKeyBytes; }

}  // namespace

Result<std::optional<std::string>> TreeReader::payload_of(uint32_t tree, std::string_view key) {
  if (!can_be_key(key)) return std::optional<std::string>();
  const Pin pinned = reader_->pin();
  const auto found = TRY(lookup(sight_, *reader_, FullKey(sight_.branch, tree, key)));
  if (!found) return std::optional<std::string>();
  return std::optional(std::string(text_of(*found)));
}

Result<TreeId> TreeReader::tree(std::string_view name) {
  if (name.empty()) return kDefaultTree;
  const auto number = TRY(get(TreeId{kNameTree}, name));
  if (!number || number->size() != 4 || name == kNextTree)
    return fail(Errc::kNotFound, "no such tree: " + printable_key(name));
  return TreeId{load_be32(*number)};
}

Result<std::vector<TreeName>> TreeReader::trees() {
  std::vector<TreeName> all{{"", kDefaultTree}};
  TreeCursor at = cursor(TreeId{kNameTree});
  std::string number;
  for (bool more = TRY(at.first()); more; more = TRY(at.next())) {
    TRY_VOID(value(at, number));
    if (at.key() != kNextTree && number.size() == 4)
      all.push_back({std::string(at.key()), TreeId{load_be32(number)}});
  }
  return all;
}

Result<std::optional<Item>> TreeReader::find(TreeId tree, std::string_view key) {
  const auto payload = TRY(payload_of(raw(tree), key));
  if (!payload) return std::optional<Item>();
  const Payload what = TRY(parsed(bytes_of(*payload)));
  return std::optional(Item{.size = what.length, .modified_s = what.modified_s});
}

Result<> TreeReader::value_of(Bytes payload, std::string& value, uint64_t limit) {
  const Payload what = TRY(parsed(payload));
  if (what.length > limit)
    return fail(Errc::kLimit, std::to_string(what.length) +
                                  " bytes are more than one call returns; read them in pieces");
  if (!what.elsewhere) {
    value.assign(text_of(what.inline_bytes));
    return {};
  }
  value.resize(what.length);
  return read_elsewhere(what.number, 0, std::as_writable_bytes(std::span(value)));
}

Result<bool> TreeReader::get(TreeId tree, std::string_view key, std::string& value,
                             uint64_t limit) {
  const auto payload = TRY(payload_of(raw(tree), key));
  if (!payload) return false;
  TRY_VOID(value_of(bytes_of(*payload), value, limit));
  return true;
}

Result<std::optional<std::string>> TreeReader::get(TreeId tree, std::string_view key) {
  std::string value;
  if (!TRY(get(tree, key, value))) return std::optional<std::string>();
  return std::optional(std::move(value));
}

Result<size_t> TreeReader::read(TreeId tree, std::string_view key, uint64_t offset,
                                std::span<std::byte> out) {
  const auto payload = TRY(payload_of(raw(tree), key));
  if (!payload) return fail(Errc::kNotFound, "no such key: " + printable_key(key));
  const Payload what = TRY(parsed(bytes_of(*payload)));
  if (offset >= what.length) return size_t{0};
  const size_t count = std::min<uint64_t>(out.size(), what.length - offset);
  if (what.elsewhere)
    TRY_VOID(read_elsewhere(what.number, offset, out.first(count)));
  else if (count != 0)
    std::memcpy(out.data(), what.inline_bytes.data() + offset, count);
  return count;
}

// Whole segments are read and compared with their hashes, whatever part of them is asked for.
Result<> TreeReader::read_elsewhere(uint64_t number, uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) return {};
  std::memset(out.data(), 0, out.size());
  const uint64_t end = offset + out.size();
  const uint64_t stretch = offset / kSegmentBytes * kSegmentBytes;  // no segment crosses these
  TreeCursor at = cursor(TreeId{kSegmentTree},
                         {.from = segment_key(number, stretch), .to = segment_key(number, end)});
  LaneMemory memory;
  for (bool more = TRY(at.first()); more; more = TRY(at.next())) {
    const auto segment = Segment::parse(at.payload(), reader_->pages());
    if (!segment || at.key().size() != kSegmentKeyBytes)
      return fail(Errc::kInvalid, "a value's segment is malformed");
    const uint64_t first = offset_of_segment_key(at.key());
    const uint64_t last = first + segment->bytes;
    if (last <= offset) continue;
    const uint64_t whole = segment->pages() * kPageBytes;
    if (memory.bytes().size() < whole)
      memory = TRY(LaneMemory::allocate(reader_->lane(), kSegmentBytes));
    const auto bytes = memory.bytes().first(whole);
    TRY_VOID(reader_->lane().read(sector_of_page(segment->page), bytes));
    if (hash_of(bytes.first(segment->bytes)) != segment->hash)
      return fail(Errc::kIo, "pages " + std::to_string(segment->page) + " to " +
                                 std::to_string(segment->page + segment->pages() - 1) +
                                 ", part of a value, are not what was written there");
    const uint64_t from = std::max(first, offset);
    const uint64_t to = std::min(last, end);
    std::memcpy(out.data() + (from - offset), bytes.data() + (from - first), to - from);
  }
  return {};
}

TreeCursor TreeReader::cursor(TreeId tree, const KeyRange& range) {
  return {sight_, *reader_, raw(tree), range};
}

Result<Item> TreeReader::item(const TreeCursor& cursor) {
  const Payload what = TRY(parsed(cursor.payload()));
  return Item{.size = what.length, .modified_s = what.modified_s};
}

Result<> TreeReader::value(const TreeCursor& cursor, std::string& value, uint64_t limit) {
  return value_of(cursor.payload(), value, limit);
}

Result<> TreeReader::iter(TreeId tree, const KeyRange& range, const Visit& visit) {
  TreeCursor at = cursor(tree, range);
  for (bool more = TRY(at.first()); more; more = TRY(at.next()))
    if (!visit(at.key(), TRY(item(at)))) break;
  return {};
}

Result<uint64_t> TreeReader::count(TreeId tree, const KeyRange& range) {
  TreeCursor at = cursor(tree, range);
  uint64_t count = 0;
  for (bool more = TRY(at.first()); more; more = TRY(at.next())) count++;
  return count;
}

}  // namespace splitring::kv
