// What the scanner does for sparse members: it finds and reads their maps.
#include "base/units.h"
#include "fs/tar/tar_scanner.h"

namespace splitring {

void TarScanner::place_extents(Member& member, SparseMap&& map, uint64_t file_bytes) {
  auto extents = std::move(map).place(file_bytes, member.body, member.stored);
  if (!extents) return refuse(extents.error().what);
  member.sparse = true;
  member.file_bytes = file_bytes;
  member.extents = std::move(*extents);
}

// Of a header of type 'S', in held_. Each block of the map is one of the disk, so that its end
// bounds the loop. A bad map costs its member only: where the next header is does not depend on it.
Result<> TarScanner::read_old_gnu_map(Member& member) {
  SparseMap map;
  Result<> good = map.add_old_gnu_header(held_);
  bool more = sparse_header_continues(held_);
  while (more && in_range(member.body, kTarBlockBytes, disk_.end())) {
    const TarBlock block = TRY(disk_.block(member.body));
    if (good) good = map.add_old_gnu_block(block);
    more = sparse_map_continues(block);
    member.body += kTarBlockBytes;
  }
  const auto file_bytes = old_gnu_real_size(held_);
  if (!good) {
    refuse(good.error().what);
  } else if (!file_bytes) {
    refuse(file_bytes.error().what);
  } else {
    member.stored = member.header.size;
    place_extents(member, std::move(map), *file_bytes);
  }
  return {};
}

// Precondition: pending_.pax->sparse.
Result<> TarScanner::read_pax_map(Member& member) {
  PaxSparse& sparse = *pending_.pax->sparse;
  if (!sparse.size) {
    refuse("a sparse member without a size");
  } else if (sparse.major == 0) {
    place_extents(member, std::move(sparse.map), *sparse.size);
  } else if (sparse.major == 1) {
    SparseMapText text;
    TRY_VOID(read_pax_map_in_body(member, text));
    if (pending_.refusal.empty()) place_extents(member, std::move(text.map()), *sparse.size);
  } else {
    refuse("a sparse member of an unknown format");
  }
  return {};
}

// Moves the body behind its map.
Result<> TarScanner::read_pax_map_in_body(Member& member, SparseMapText& text) {
  const uint64_t most = std::min(round_up(member.stored, kTarBlockBytes), kMaxSparseMapBytes);
  for (uint64_t done = 0; done < most; done += kTarBlockBytes) {
    const auto last = text.take(TRY(disk_.block(member.body + done)));
    if (!last) {
      refuse(last.error().what);
      return {};
    }
    if (!*last) continue;
    const uint64_t map_bytes = done + kTarBlockBytes;
    member.body += map_bytes;
    member.stored -= std::min(member.stored, map_bytes);
    return {};
  }
  refuse("its sparse map does not end");
  return {};
}

}  // namespace splitring
