#include "fs/tar/tar_sparse.h"

#include <limits>

#include "base/parse.h"
#include "base/units.h"

namespace splitring {
namespace {

// Offsets in struct oldgnu_header and struct sparse_header.
constexpr size_t kHeaderMapAt = 386;
constexpr size_t kHeaderMapEntries = 4;
constexpr size_t kHeaderContinuesAt = 482;
constexpr size_t kRealSizeAt = 483;
constexpr size_t kBlockMapEntries = 21;
constexpr size_t kBlockContinuesAt = 504;
constexpr size_t kNumberBytes = 12;

constexpr uint64_t kMostBytes = std::numeric_limits<int64_t>::max();

std::string_view text_of(TarBlock block, size_t at, size_t bytes) {
  return {reinterpret_cast<const char*>(block.data()) + at, bytes};
}

Result<uint64_t> parse_size_field(std::string_view field) {
  const auto number = parse_tar_number(field);
  if (!number || *number < 0) return fail(Errc::kInvalid, "its sparse map holds what is no number");
  return static_cast<uint64_t>(*number);
}

}  // namespace

Result<> SparseMap::add(uint64_t first, uint64_t bytes) {
  if (!in_range(first, bytes, kMostBytes) || first < end_)
    return fail(Errc::kInvalid, "its sparse map is out of order");
  if (extents_.size() == kMaxTarExtents) return fail(Errc::kLimit, "its sparse map is too long");
  end_ = first + bytes;
  if (bytes == 0) return {};  // marks a hole at the end
  extents_.push_back({.first = first, .bytes = bytes, .offset = stored_});
  stored_ += bytes;  // at most end_
  return {};
}

Result<> SparseMap::add_text(std::string_view numbers, char separator) {
  if (numbers.ends_with(separator)) return fail(Errc::kInvalid, "its sparse map is cut off");
  const auto take = [&]() -> Result<uint64_t> {
    const size_t end = numbers.find(separator);
    const auto number = parse_decimal(numbers.substr(0, end), kMostBytes);
    if (!number) return fail(Errc::kInvalid, "its sparse map holds what is no number");
    numbers.remove_prefix(end == std::string_view::npos ? numbers.size() : end + 1);
    return *number;
  };
  while (!numbers.empty()) {
    const uint64_t first = TRY(take());
    TRY_VOID(add(first, TRY(take())));
  }
  return {};
}

Result<> SparseMap::add_old_gnu_header(TarBlock header) {
  return add_old_gnu_fields(text_of(header, kHeaderMapAt, kHeaderMapEntries * 2 * kNumberBytes));
}

Result<> SparseMap::add_old_gnu_block(TarBlock block) {
  return add_old_gnu_fields(text_of(block, 0, kBlockMapEntries * 2 * kNumberBytes));
}

Result<> SparseMap::add_old_gnu_fields(std::string_view fields) {
  for (; !fields.empty(); fields.remove_prefix(2 * kNumberBytes)) {
    const std::string_view bytes = fields.substr(kNumberBytes, kNumberBytes);
    if (bytes[0] == '\0') return {};
    const uint64_t first = TRY(parse_size_field(fields.substr(0, kNumberBytes)));
    TRY_VOID(add(first, TRY(parse_size_field(bytes))));
  }
  return {};
}

Result<std::vector<TarExtent>> SparseMap::place(uint64_t file_bytes, uint64_t offset,
                                                uint64_t stored) && {
  if (end_ > file_bytes) return fail(Errc::kInvalid, "its sparse map leads beyond its end");
  if (stored_ > stored) return fail(Errc::kInvalid, "its sparse map has more than its body");
  for (TarExtent& extent : extents_) extent.offset += offset;
  return std::move(extents_);
}

Result<bool> SparseMapText::take(TarBlock block) {
  for (const std::byte byte : block) {
    const char c = static_cast<char>(byte);
    if (c == '\n') {
      if (TRY(take_number())) return true;
      continue;
    }
    if (c < '0' || c > '9' || digits_++ == 19)  // more than kMostBytes has
      return fail(Errc::kInvalid, "its sparse map holds what is no number");
    number_ = number_ * 10 + static_cast<uint64_t>(c - '0');
  }
  return false;
}

// At the end of a line; true if it was the last one.
Result<bool> SparseMapText::take_number() {
  if (digits_ == 0) return fail(Errc::kInvalid, "its sparse map holds what is no number");
  digits_ = 0;
  const uint64_t number = std::exchange(number_, 0);
  if (!has_count_) {
    has_count_ = true;
    if (number > kMaxTarExtents) return fail(Errc::kLimit, "its sparse map is too long");
    numbers_left_ = 2 * number;
    return numbers_left_ == 0;
  }
  if (numbers_left_-- % 2 == 0)
    first_ = number;
  else
    TRY_VOID(map_.add(first_, number));
  return numbers_left_ == 0;
}

Result<uint64_t> old_gnu_real_size(TarBlock header) {
  return parse_size_field(text_of(header, kRealSizeAt, kNumberBytes));
}

bool sparse_header_continues(TarBlock header) { return header[kHeaderContinuesAt] != std::byte{0}; }

bool sparse_map_continues(TarBlock map) { return map[kBlockContinuesAt] != std::byte{0}; }

}  // namespace splitring
