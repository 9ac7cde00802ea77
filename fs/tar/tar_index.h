// The names of an archive: a table from path to entry, and the directories that they form.
//
// Compact, because archives hold millions of members: 48 bytes an entry, its path once in an arena,
// 8 to 16 bytes of hash table. A directory that only its members' paths imply is an entry too; its
// path is the front of a member's and costs nothing.
//
// Paths are kept without a leading, doubled or trailing '/' and without '.' components; the root is
// the empty path, entry 0. ".." and every other byte stand for themselves: a path is a key here,
// never a place on the host. Of entries with one path the last one wins; if it replaces a directory
// the members of that stay reachable by their paths.
//
// Built by one thread; then read by any number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/tar/name_hash.h"

namespace splitring {

struct TarLimits {
  uint32_t entries = 16'000'000;
  uint32_t name_bytes = uint32_t{1} << 30;  // of all paths and link targets together
};

// Longest path or link target, and most components of a path, that an index takes.
inline constexpr size_t kMaxTarPathBytes = 4096;
inline constexpr size_t kMaxTarPathDepth = 256;

enum class TarKind : uint8_t {
  kFile,
  kDirectory,
  kSymlink,
  kHardLink,  // whose target is not in the archive; others read as what they link to
  kSpecial,   // device or pipe: named, never opened
};

class TarIndex {
 public:
  using Id = uint32_t;
  static constexpr Id kRoot = 0;

  struct Entry {
    uint64_t offset = 0;  // of the body, in bytes on the disk; a multiple of 512
    uint64_t size = 0;
    int64_t mtime_s = 0;
    uint32_t path_at = 0;  // in the arena
    uint32_t link_at = 0;
    uint16_t path_bytes = 0;
    uint16_t link_bytes = 0;
    uint16_t mode = 0;
    TarKind kind = TarKind::kDirectory;
    bool implied = true;  // no header names it
    Id first_child = 0;   // 0: none, the root is nobody's child
    Id next_sibling = 0;
  };
  static_assert(sizeof(Entry) == 48);

  explicit TarIndex(const TarLimits& limits = {});

  // What a header says, apart from its path.
  struct Facts {
    TarKind kind = TarKind::kFile;
    uint64_t offset = 0;
    uint64_t size = 0;
    int64_t mtime_s = 0;
    uint16_t mode = 0;
    std::string_view link;
  };
  // Errors: kInvalid (a path with nothing in it, too long, too deep), kLimit (the index is full).
  // An error leaves no new entry but, perhaps, directories that the path implies.
  Result<Id> add(std::string_view path, const Facts& facts);
  // Makes `link` the thing that `target` is or was: kind, body, symbolic link's target.
  void set_body(Id link, const Entry& target);
  // Gives back memory that growing has reserved.
  void shrink();

  // `path` as this index spells it; see above.
  [[nodiscard]] std::optional<Id> find(std::string_view path) const;
  // Any spelling.
  [[nodiscard]] static std::string normalize(std::string_view path);

  [[nodiscard]] const Entry& entry(Id id) const { return entries_[id]; }
  [[nodiscard]] Id size() const { return static_cast<Id>(entries_.size()); }
  [[nodiscard]] std::string_view path(const Entry& entry) const {
    return {arena_.data() + entry.path_at, entry.path_bytes};
  }
  [[nodiscard]] std::string_view link(const Entry& entry) const {
    return {arena_.data() + entry.link_at, entry.link_bytes};
  }

 private:
  struct Cell {
    uint32_t tag;  // of the hash; its low bits are the cell that the entry would like best
    Id id;         // 0: empty, the root is not in the table
  };

  [[nodiscard]] std::string_view text(uint32_t at, size_t bytes) const {
    return {arena_.data() + at, bytes};
  }
  [[nodiscard]] uint32_t tag_of(std::string_view path) const {
    return static_cast<uint32_t>(hash_(path));
  }
  [[nodiscard]] Id find_tagged(std::string_view path, uint32_t tag) const;
  Result<Id> insert(uint32_t path_at, size_t path_bytes, uint32_t tag);
  Result<Id> find_or_insert(uint32_t path_at, size_t path_bytes);
  Result<Id> parent_of(uint32_t path_at, size_t path_bytes);
  Result<> append_normalized(std::string_view path);
  void place(Cell cell);
  void grow_table();

  TarLimits limits_;
  NameHash hash_;
  std::vector<Entry> entries_;
  std::vector<char> arena_;
  std::vector<Cell> table_;  // a power of two, at most three quarters full
  Id last_parent_ = kRoot;   // of neighbours in an archive most share theirs
};

}  // namespace splitring
