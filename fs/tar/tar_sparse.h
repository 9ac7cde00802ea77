// Sparse members: which bytes of a file an archive holds; the others are zeroes. Old GNU maps
// (binary fields in the header and in blocks behind it) and the pax formats 0.0, 0.1 and 1.0 (text)
// end in the same checked list of extents. Pure; callable from any thread.
//
// Source: GNU tar manual, "Storing Sparse Files" and "Basic Tar Format" (struct oldgnu_header,
// struct sparse_header).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/tar/tar_header.h"

namespace splitring {

// `bytes` bytes of a file from its byte `first` on, which lie at `offset` of the disk.
struct TarExtent {
  uint64_t first = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

// Most extents of one member. Each costs its archive at least four bytes, so the memory of a map is
// bounded by the archive too.
inline constexpr size_t kMaxTarExtents = size_t{1} << 20;
// A map of pax 1.0 lies in the body: longest that is read.
inline constexpr uint64_t kMaxSparseMapBytes = uint64_t{16} << 20;

// Takes a map in the order of the archive, and refuses what is no map.
class SparseMap {
 public:
  // Errors: kInvalid (out of order, overlapping, beyond 2^63), kLimit.
  Result<> add(uint64_t first, uint64_t bytes);
  // The numbers "first,bytes,first,bytes" of pax 0.1, apart by `separator`.
  Result<> add_text(std::string_view numbers, char separator);
  // Four of them in a header of type 'S', 21 in each block behind it. A map may end before its
  // room does.
  Result<> add_old_gnu_header(TarBlock header);
  Result<> add_old_gnu_block(TarBlock block);

  // The extents of a file of `file_bytes` whose `stored` bytes lie at `offset`; none of them empty.
  // Errors: kInvalid if the map leads beyond either.
  Result<std::vector<TarExtent>> place(uint64_t file_bytes, uint64_t offset, uint64_t stored) &&;

 private:
  Result<> add_old_gnu_fields(std::string_view fields);

  std::vector<TarExtent> extents_;
  uint64_t end_ = 0;     // of the last extent in the file
  uint64_t stored_ = 0;  // bytes of all extents
};

// The text of pax 1.0 in front of a body: a count, then pairs, a number a line.
class SparseMapText {
 public:
  // Takes the next block; true: that was the last one of the map.
  Result<bool> take(TarBlock block);
  [[nodiscard]] SparseMap& map() { return map_; }

 private:
  Result<bool> take_number();

  SparseMap map_;
  std::string_view::size_type digits_ = 0;
  uint64_t number_ = 0;
  uint64_t numbers_left_ = 0;
  uint64_t first_ = 0;
  bool has_count_ = false;
};

// The file's size in a header of type 'S'. kInvalid: no size.
Result<uint64_t> old_gnu_real_size(TarBlock header);
// True if another map block follows a header of type 'S', or one of those map blocks.
[[nodiscard]] bool sparse_header_continues(TarBlock header);
[[nodiscard]] bool sparse_map_continues(TarBlock map);

}  // namespace splitring
