// The index of an archive as it is read: a table from path to record, and the directories that the
// records form. A view: of what a TarIndex has built, or of a saved index whose pages are read and
// checked as they are needed. Any number of threads.
//
// Total: whatever the bytes of a saved index say, nothing outside its parts is touched and every
// call ends. What cannot be had reads as an empty record, and the pages remember the damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/units.h"
#include "fs/tar/name_hash.h"
#include "fs/tar/tar_sparse.h"

namespace splitring {

enum class TarKind : uint8_t {
  kFile,
  kDirectory,
  kSymlink,
  kHardLink,  // whose target is not in the archive; others read as what they link to
  kSpecial,   // device or pipe: named, never opened
};

// One entry, in memory and in a saved index (there little-endian, as on every machine we build
// for).
struct TarRecord {
  uint64_t offset = 0;  // of the body, in bytes on the disk; a multiple of 512
  uint64_t size = 0;
  int64_t mtime_s = 0;
  uint32_t path_at = 0;  // in the names
  uint32_t link_at = 0;  // in the names; of a sparse file, its first extent
  uint16_t path_bytes = 0;
  uint16_t link_bytes = 0;
  uint16_t mode = 0;
  TarKind kind = TarKind::kDirectory;
  uint8_t flags = 0;
  uint32_t first_child = 0;  // 0: none, the root is nobody's child
  uint32_t next_sibling = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mtime_ns = 0;
  uint32_t extents = 0;  // of a sparse file

  static constexpr uint8_t kImplied = 1;   // a directory that no header names
  static constexpr uint8_t kSparse = 2;    // the extents say where its bytes lie
  static constexpr uint8_t kHardLink = 4;  // a second name of the file with that body
  [[nodiscard]] bool has(uint8_t flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(TarRecord) == 64, "a cache line, without gaps");

// Of the table from path to record: open addressing, linear probing.
struct TarCell {
  uint32_t tag;  // of the hash; its low bits are the cell that the record would like best
  uint32_t id;   // 0: empty, the root is not in the table
};

class SavedTarPages;

class TarTable {
 public:
  using Id = uint32_t;
  static constexpr Id kRoot = 0;

  struct Parts {
    std::span<const TarRecord> records;  // at least the root
    std::span<const char> names = {};
    std::span<const TarCell> cells;  // a power of two
    std::span<const TarExtent> extents = {};
    NameHash hash = {};
    const SavedTarPages* pages = nullptr;  // of a saved index
  };

  TarTable() = default;
  explicit TarTable(const Parts& parts) : parts_(parts) {}

  // `path` as the index spells it; see fs/tar/tar_index.h.
  [[nodiscard]] std::optional<Id> find(std::string_view path) const {
    if (path.empty()) return kRoot;
    const Id id = find_tagged(path, tag_of(path));
    return id == kRoot ? std::nullopt : std::optional(id);
  }
  [[nodiscard]] Id size() const { return static_cast<Id>(parts_.records.size()); }
  [[nodiscard]] const TarRecord& record(Id id) const {
    return is_there(parts_.records, id, 1) ? parts_.records[id] : nothing();
  }
  [[nodiscard]] std::string_view path(const TarRecord& record) const {
    return text(record.path_at, record.path_bytes);
  }
  [[nodiscard]] std::string_view link(const TarRecord& record) const {
    if (record.has(TarRecord::kSparse)) return {};
    return text(record.link_at, record.link_bytes);
  }
  [[nodiscard]] std::span<const TarExtent> extents(const TarRecord& record) const {
    if (!record.has(TarRecord::kSparse)) return {};
    if (!is_there(parts_.extents, record.link_at, record.extents)) return {};
    return parts_.extents.subspan(record.link_at, record.extents);
  }

  // For whoever builds a table.
  [[nodiscard]] uint32_t tag_of(std::string_view path) const {
    return static_cast<uint32_t>(parts_.hash(path));
  }
  // The root if there is none.
  [[nodiscard]] Id find_tagged(std::string_view wanted, uint32_t tag) const {
    const size_t mask = parts_.cells.size() - 1;
    for (size_t probed = 0, at = tag & mask; probed <= mask; probed++, at = (at + 1) & mask) {
      if (!is_there(parts_.cells, at, 1)) return kRoot;
      const TarCell cell = parts_.cells[at];
      if (cell.id == kRoot) return kRoot;
      if (cell.tag == tag && path(record(cell.id)) == wanted) return cell.id;
    }
    return kRoot;
  }

 private:
  [[nodiscard]] std::string_view text(uint32_t at, size_t bytes) const {
    if (!is_there(parts_.names, at, bytes)) return {};
    return {parts_.names.data() + at, bytes};
  }
  template <class T>
  [[nodiscard]] bool is_there(std::span<const T> part, size_t first, size_t count) const {
    if (!in_range(first, count, part.size())) return false;
    return parts_.pages == nullptr || is_read(part.data() + first, count * sizeof(T));
  }
  [[nodiscard]] bool is_read(const void* at, size_t bytes) const;
  static const TarRecord& nothing();

  Parts parts_;
};

}  // namespace splitring
