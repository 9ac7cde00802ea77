// A tar archive on a disk, read at random: an index of its names, built once, and their bytes.
//
// The index does not change after open(): any number of threads may share a TarFileSystem, each
// with a lane of its own on the same disk. Views that it hands out live as long as it does.
//
// Paths: see fs/tar/tar_index.h. Nothing here becomes a path on the host; links are followed inside
// the archive only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "fs/tar/saved_index.h"
#include "fs/tar/tar_index.h"
#include "fs/tar/tar_scanner.h"

namespace splitring {

struct TarEntry {
  std::string_view path = {};  // empty: the root
  TarKind kind = TarKind::kFile;
  uint64_t size = 0;
  // Of the body in bytes on the disk, a multiple of 512: for those who read through requests of
  // their own. Of a sparse file run_at() says where what lies.
  uint64_t offset = 0;
  int64_t mtime_s = 0;    // rounded down,
  uint32_t mtime_ns = 0;  // with these to add
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint16_t mode = 0;
  bool implied = false;  // a directory without a header
  // Of a symbolic link its target; of a hard link to nothing the name that it was made of.
  std::string_view link = {};
  bool is_hard_link = false;  // a second name: another entry has the same body
  bool sparse = false;
  std::span<const TarExtent> extents = {};  // of a sparse file: in order, apart, within its size
  uint32_t number = 0;                      // see TarFileSystem::entry()

  [[nodiscard]] std::string_view base_name() const { return path.substr(path.rfind('/') + 1); }
};

// Bytes of a file that lie together.
struct TarRun {
  std::optional<uint64_t> offset;  // in bytes on the disk; nothing: a hole, zeroes
  uint64_t bytes = 0;
};
// From byte `at` of the file on, as far as it goes; 0 bytes at or beyond its end.
[[nodiscard]] TarRun run_at(const TarEntry& file, uint64_t at);

class TarFileSystem {
 public:
  // Reads all headers through `lane`. Errors: see TarScanner::run().
  static Result<std::unique_ptr<TarFileSystem>> open(BlockQueue& lane,
                                                     const TarLimits& limits = {});

  // The same from an index that was saved beside the image, without a scan; `lane` is that of the
  // image's disk. Errors: see open_saved_tar_index(); open() the image then.
  static Result<std::unique_ptr<TarFileSystem>> open_saved(BlockQueue& lane,
                                                           const std::string& index_path,
                                                           const ImageIdentity& image);
  // Precondition: not itself from a saved index.
  Result<> save(const std::string& index_path, const ImageIdentity& image) const;
  // A saved index is read and checked bit by bit as it is used. What is damaged reads as if it were
  // not in the archive, and from then on this is false: open() the image, and ask again.
  [[nodiscard]] bool intact() const { return !pages_ || pages_->intact(); }
  // Reads and checks all of it at once. kInvalid: damaged.
  Result<> check_index() const;

  // The entry of that path, in any spelling; links are not followed.
  [[nodiscard]] std::optional<TarEntry> find(std::string_view path) const;
  // The same with symbolic links followed, in every component. Nothing: no such entry, or links
  // that loop, or lead out of the archive. An absolute link starts at the archive's root.
  [[nodiscard]] std::optional<TarEntry> resolve(std::string_view path) const;
  // What a directory holds, by name. The path is not followed: resolve() it first.
  [[nodiscard]] std::vector<TarEntry> list(std::string_view directory) const;
  // Every entry that a header names, in the order of the archive; of twins the last one, at the
  // place of the first.
  void for_each(const std::function<void(const TarEntry&)>& visit) const;

  // Entries have the numbers 0 (the root) to entry_count() - 1, in the order in which the archive
  // first spoke of them, implied directories too.
  [[nodiscard]] uint32_t entry_count() const { return table_.size(); }
  // Of a number that there is not: one with nothing in it.
  [[nodiscard]] TarEntry entry(uint32_t number) const { return describe(number); }

  // Reads a file's bytes from `offset` and returns their number: less than asked for at the file's
  // end, 0 beyond it. Errors: kInvalid if it is no file; the disk's.
  Result<size_t> read(BlockQueue& lane, const TarEntry& file, uint64_t offset,
                      std::span<std::byte> out) const;

  [[nodiscard]] uint64_t file_count() const { return summary_.file_count; }
  [[nodiscard]] uint64_t file_bytes() const {
    return summary_.file_bytes;
  }  // links count as what they read
  // What was left out, or where the archive is damaged. The first ones in full.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return summary_.notes.kept(); }
  [[nodiscard]] uint64_t warning_count() const { return summary_.notes.total(); }
  [[nodiscard]] const TarEnd& end() const { return summary_.end; }

 private:
  explicit TarFileSystem(const TarLimits& limits) : index_(limits) {}
  [[nodiscard]] TarEntry describe(TarTable::Id id) const;
  void count_files();

  // False: it says what cannot be. Only a saved one can.
  [[nodiscard]] bool is_sane(const TarRecord& record) const;

  TarIndex index_;                        // empty if it was saved
  std::unique_ptr<SavedTarPages> pages_;  // of a saved index
  TarTable table_;                        // upon either
  TarSummary summary_;
};

}  // namespace splitring
