// Builds the index of an archive: a table from path to record, and the directories that they form.
//
// Compact, because archives hold millions of members: 64 bytes a record, its path once in an arena,
// 8 to 16 bytes of hash table. A directory that only its members' paths imply is a record too; its
// path is the front of a member's and costs nothing.
//
// Paths are kept without a leading, doubled or trailing '/' and without '.' components; the root is
// the empty path, record 0. ".." and every other byte stand for themselves: a path is a key here,
// never a place on the host. Of entries with one path the last one wins; if it replaces a directory
// the members of that stay reachable by their paths.
//
// Built by one thread; then read, through table(), by any number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/tar/tar_table.h"

namespace splitring {

// How much of an archive is taken.
struct TarLimits {
  uint32_t entries = 16'000'000;
  uint32_t name_bytes = uint32_t{1} << 30;  // of all paths and link targets together
  uint32_t extents = 4'000'000;             // of all sparse members together
  // Two zero blocks end an archive. False: what lies behind them is read as well, as in archives
  // that were joined with cat(1); not for a disk on which remains of an older archive may lie.
  bool stop_at_end = true;
};

// Longest path or link target, and most components of a path, that an index takes.
inline constexpr size_t kMaxTarPathBytes = 4096;
inline constexpr size_t kMaxTarPathDepth = 256;

class TarIndex {
 public:
  using Id = TarTable::Id;
  static constexpr Id kRoot = TarTable::kRoot;

  explicit TarIndex(const TarLimits& limits = {});

  // What headers say of an entry, apart from its path.
  struct Facts {
    TarKind kind = TarKind::kFile;
    uint64_t offset = 0;
    uint64_t size = 0;
    int64_t mtime_s = 0;
    uint32_t mtime_ns = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint16_t mode = 0;
    std::string_view link;
    std::optional<std::span<const TarExtent>> extents;  // of a sparse file
  };
  // Errors: kInvalid (a path with nothing in it, too long, too deep), kLimit (the index is full).
  // An error leaves no new record but, perhaps, directories that the path implies.
  Result<Id> add(std::string_view path, const Facts& facts);
  // Makes `link` another name of what `target` is or was: kind, body, symbolic link's target.
  void set_body(Id link, const TarRecord& target);

  // Any spelling.
  [[nodiscard]] static std::string normalize(std::string_view path);

  // Valid until the index changes.
  [[nodiscard]] TarTable table() const { return TarTable(parts()); }
  [[nodiscard]] TarTable::Parts parts() const {
    return {
        .records = records_, .names = names_, .cells = cells_, .extents = extents_, .hash = hash_};
  }

 private:
  Result<Id> insert(uint32_t path_at, size_t path_bytes, uint32_t tag);
  Result<Id> find_or_insert(uint32_t path_at, size_t path_bytes);
  Result<Id> parent_of(uint32_t path_at, size_t path_bytes);
  Result<> append_normalized(std::string_view path);
  [[nodiscard]] std::string_view text(uint32_t at, size_t bytes) const {
    return {names_.data() + at, bytes};
  }
  [[nodiscard]] Id size() const { return static_cast<Id>(records_.size()); }
  void place(TarCell cell);
  void grow_table();

  TarLimits limits_;
  NameHash hash_;
  std::vector<TarRecord> records_;
  std::vector<char> names_;
  std::vector<TarCell> cells_;  // a power of two, at most three quarters full
  std::vector<TarExtent> extents_;
  Id last_parent_ = kRoot;  // of neighbours in an archive most share theirs
};

}  // namespace splitring
