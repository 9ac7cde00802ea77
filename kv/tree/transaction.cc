#include "kv/tree/transaction.h"

#include <algorithm>

#include "kv/key.h"
#include "kv/tree/lookup.h"
#include "kv/tree/store.h"

namespace splitring::kv {
namespace {

constexpr size_t kMaxTreeNameBytes = 255;

uint32_t raw(TreeId tree) { return static_cast<uint32_t>(tree); }

}  // namespace

Result<> StagedValue::write(uint64_t offset, Bytes bytes, BlockQueue& lane) {
  while (!bytes.empty()) {
    const uint64_t wanted = (bytes.size() + kPageBytes - 1) / kPageBytes;
    const PageRun run = TRY(space_->allocate_spare(wanted, lane));
    const size_t count = std::min<size_t>(bytes.size(), run.count * kPageBytes);
    parts.push_back({offset,
                     {.page = run.first,
                      .birth = 0,
                      .bytes = static_cast<uint32_t>(count),
                      .hash = hash_of(bytes.first(count))}});
    PageWriter writer(lane);
    for (size_t at = 0; at < count; at += kPageBytes) {
      std::byte* const page = TRY(writer.place(run.first + at / kPageBytes));
      const size_t part = std::min<size_t>(kPageBytes, count - at);
      std::memcpy(page, bytes.data() + at, part);
      std::memset(page + part, 0, kPageBytes - part);
    }
    TRY_VOID(writer.finish());
    bytes = bytes.subspan(count);
    offset += count;
  }
  return {};
}

Result<> Transaction::check(std::string_view key) const {
  if (key.empty() || key.size() > kMaxUserKeyBytes)
    return fail(Errc::kInvalid, printable_key(key) + " is no key: it has " +
                                    std::to_string(key.size()) + " bytes, not 1 to 1024");
  return {};
}

void Transaction::change(ChangeKind kind, uint32_t tree, std::string_view key, Bytes payload) {
  const FullKey full(sight().branch, tree, key);
  touched_.push_back(nullptr);  // before the change: there may be no memory for either
  touched_.back() = &memtable_.put(full.in_memory(), kind, payload, sequence_);
  DiskChange header;
  header.kind = static_cast<uint8_t>(kind);
  header.key_bytes = static_cast<uint16_t>(full.in_memory().size());
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  log_.append(reinterpret_cast<const char*>(&header), sizeof header);
  log_ += full.in_memory();
  log_ += text_of(payload);
  changes_++;
  grows_ = grows_ || kind == ChangeKind::kPut;
}

Result<uint64_t> Transaction::new_number() {
  constexpr unsigned kBits = 16;
  if (numbers_ >> kBits != 0)
    return fail(Errc::kLimit, "a transaction writes 65536 long values at most");
  return sequence_ << kBits | numbers_++;
}

Result<> Transaction::put(TreeId tree, std::string_view key, std::string_view value,
                          std::optional<int64_t> modified_s) {
  TRY_VOID(check(key));
  if (value.size() > kMaxInlineBytes) {
    StagedValue staged(*store_.space_);
    for (size_t at = 0; at < value.size(); at += kSegmentBytes)
      TRY_VOID(staged.write(at, bytes_of(value.substr(at, kSegmentBytes)), reader().lane()));
    staged.length = value.size();
    return put_staged(tree, key, std::move(staged), modified_s);
  }
  Payload payload;
  payload.modified_s = modified_s;
  payload.inline_bytes = bytes_of(value);
  scratch_.clear();
  payload.append_to(scratch_);
  change(ChangeKind::kPut, raw(tree), key, bytes_of(scratch_));
  return {};
}

Result<> Transaction::put_elsewhere(TreeId tree, std::string_view key, uint64_t number,
                                    uint64_t length, std::optional<int64_t> modified_s) {
  Payload payload;
  payload.modified_s = modified_s;
  payload.elsewhere = true;
  payload.number = number;
  payload.length = length;
  payload.changed = sequence_;
  scratch_.clear();
  payload.append_to(scratch_);
  change(ChangeKind::kPut, raw(tree), key, bytes_of(scratch_));
  return {};
}

void Transaction::put_segment(uint64_t number, uint64_t offset, const Segment& segment) {
  std::string text;
  segment.append_to(text);
  change(ChangeKind::kPut, kSegmentTree, segment_key(number, offset), bytes_of(text));
}

// From here on a rollback gives its pages back.
Result<> Transaction::take_over(uint64_t number, StagedValue&& value) {
  for (const StagedValue::Part& part : value.parts) {
    written_.push_back({part.segment.page, part.segment.pages()});
    put_segment(number, part.offset, part.segment);
  }
  value.parts.clear();
  return {};
}

Result<> Transaction::put_staged(TreeId tree, std::string_view key, StagedValue&& value,
                                 std::optional<int64_t> modified_s) {
  TRY_VOID(check(key));
  const uint64_t number = TRY(new_number());
  const uint64_t length = value.length;
  TRY_VOID(take_over(number, std::move(value)));
  return put_elsewhere(tree, key, number, length, modified_s);
}

Result<> Transaction::remove(TreeId tree, std::string_view key) {
  TRY_VOID(check(key));
  change(ChangeKind::kRemove, raw(tree), key, {});
  return {};
}

Result<uint64_t> Transaction::remove_range(TreeId tree, const KeyRange& range) {
  TreeCursor at = cursor(tree, range);
  uint64_t count = 0;
  for (bool more = TRY(at.first()); more; more = TRY(at.next())) {
    change(ChangeKind::kRemove, raw(tree), std::string(at.key()), {});
    count++;
  }
  return count;
}

Result<> Transaction::rename(TreeId tree, std::string_view from, std::string_view to) {
  TRY_VOID(check(from));
  TRY_VOID(check(to));
  const auto payload = TRY(payload_of(raw(tree), from));
  if (!payload) return fail(Errc::kNotFound, "no such key: " + printable_key(from));
  if (from == to) return {};
  change(ChangeKind::kMoved, raw(tree), from, {});
  change(ChangeKind::kPut, raw(tree), to, bytes_of(*payload));
  return {};
}

Result<> Transaction::replace_stretch(uint64_t number, uint64_t first, Bytes content) {
  StagedValue staged(*store_.space_);
  TRY_VOID(staged.write(first, content, reader().lane()));
  TreeCursor old = cursor(TreeId{kSegmentTree}, {.from = segment_key(number, first),
                                                 .to = segment_key(number, first + kSegmentBytes)});
  for (bool more = TRY(old.first()); more; more = TRY(old.next()))
    change(ChangeKind::kRemove, kSegmentTree, std::string(old.key()), {});
  return take_over(number, std::move(staged));
}

Result<> Transaction::write_at(TreeId tree, std::string_view key, uint64_t offset,
                               std::string_view bytes, std::optional<int64_t> modified_s) {
  TRY_VOID(check(key));
  constexpr uint64_t kMaxLength = uint64_t{1} << 62;
  if (offset > kMaxLength || bytes.size() > kMaxLength)
    return fail(Errc::kLimit, "a value has 2^62 bytes at most");
  const auto stored = TRY(payload_of(raw(tree), key));
  Payload old;
  if (stored) {
    const auto parsed = Payload::parse(bytes_of(*stored));
    if (!parsed) return fail(Errc::kInvalid, printable_key(key) + ": malformed");
    old = *parsed;
  }
  const uint64_t length = std::max(old.length, offset + bytes.size());
  if (!old.elsewhere && length <= kMaxInlineBytes) {
    std::string value(text_of(old.inline_bytes));
    value.resize(length);
    value.replace(offset, bytes.size(), bytes);
    return put(tree, key, value, modified_s);
  }
  const uint64_t number = old.elsewhere ? old.number : TRY(new_number());
  std::string content;
  if (!old.elsewhere && !old.inline_bytes.empty())
    TRY_VOID(replace_stretch(number, 0, old.inline_bytes));
  for (uint64_t at = offset; at < offset + bytes.size();) {
    const uint64_t first = at / kSegmentBytes * kSegmentBytes;
    const uint64_t end = std::min(first + kSegmentBytes, offset + bytes.size());
    const uint64_t kept = std::min(std::max(old.length, first) - first, uint64_t{kSegmentBytes});
    content.assign(std::max(kept, end - first), '\0');
    if (kept != 0)
      TRY_VOID(
          read_elsewhere(number, first, std::as_writable_bytes(std::span(content)).first(kept)));
    content.replace(at - first, end - at, bytes.substr(at - offset, end - at));
    TRY_VOID(replace_stretch(number, first, bytes_of(content)));
    at = end;
  }
  return put_elsewhere(tree, key, number, length, modified_s);
}

Result<> Transaction::allocate(TreeId tree, std::string_view key, uint64_t size,
                               std::optional<int64_t> modified_s) {
  TRY_VOID(check(key));
  if (size >> 62 != 0) return fail(Errc::kLimit, "a value has 2^62 bytes at most");
  if (size <= kMaxInlineBytes) return put(tree, key, std::string(size, '\0'), modified_s);
  return put_elsewhere(tree, key, TRY(new_number()), size, modified_s);
}

Result<TreeId> Transaction::create_tree(std::string_view name) {
  if (name.empty()) return kDefaultTree;
  if (name.size() > kMaxTreeNameBytes || name.find('\0') != std::string_view::npos)
    return fail(Errc::kInvalid, "a tree's name has 1 to 255 bytes, none of them NUL");
  if (auto there = tree(name); there || there.error().code != Errc::kNotFound) return there;
  const TreeId names{kNameTree};
  const auto next = TRY(get(names, kNextTree));
  uint32_t number = kFirstTree + 1;
  if (next && next->size() == 4) number = load_be32(*next);
  if (number >= kSegmentTree - 1) return fail(Errc::kLimit, "the store has had too many trees");
  std::string text;
  append_be32(text, number + 1);
  TRY_VOID(put(names, kNextTree, text));
  text.clear();
  append_be32(text, number);
  TRY_VOID(put(names, name, text));
  return TreeId{number};
}

Result<> Transaction::remove_tree(std::string_view name) {
  const TreeId number = TRY(tree(name));
  TRY(remove_range(number, {}));
  if (number == kDefaultTree) return {};
  return remove(TreeId{kNameTree}, name);
}

Transaction::~Transaction() {
  if (kept_) return;
  for (auto node = touched_.rbegin(); node != touched_.rend(); ++node)
    if (*node != nullptr) memtable_.unhook(**node);
  memtable_.waste(memtable_.bytes() - bytes_before_);
  for (const PageRun& run : written_) store_.space_->give_back(run);
}

}  // namespace splitring::kv
