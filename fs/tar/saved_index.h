// An index saved beside its image: what a scan found, opened again without one.
//
//   header | a digest a chunk | notes | padding to 4096 | records | cells | extents | names
//
// Believed only if all of this holds; else opening says why, and the image is scanned as ever:
//  * The file is ours, and of this image as it is (blkimage/saved_file.h).
//  * The checksum over header, digests and notes is right, the counts are within our limits, and
//    the file is exactly as long as they say.
//  * Each chunk that is used has its digest (fs/tar/saved_pages.h).
// And nothing in it is followed blindly all the same: see TarTable and TarFileSystem::describe().
//
// Its integers are this machine's; another machine's magic number does not match.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "blkimage/saved_file.h"
#include "fs/tar/saved_pages.h"
#include "fs/tar/tar_notes.h"
#include "fs/tar/tar_scanner.h"
#include "fs/tar/tar_table.h"

namespace splitring {

// "site.tar" -> "site.tar.index"
[[nodiscard]] std::string saved_index_path(const std::string& image_path);

// What is saved apart from the table.
struct TarSummary {
  uint64_t disk_bytes = 0;
  uint64_t file_count = 0;
  uint64_t file_bytes = 0;
  TarEnd end = {};
  TarNotes notes = {};
};

struct SavedTarIndex {
  std::unique_ptr<SavedTarPages> pages;
  TarTable table;  // upon the pages
  TarSummary summary;
};

// Replaces the file at `path` as a whole, or leaves it as it was.
Result<> save_tar_index(const std::string& path, const ImageIdentity& image,
                        const TarTable::Parts& parts, const TarSummary& summary);
// kNotFound: none there. kPermission: not ours. kConflict: of another image, or of an earlier state
// of it. kInvalid: damaged, or of another version.
Result<SavedTarIndex> open_saved_tar_index(const std::string& path, const ImageIdentity& image,
                                           uint64_t disk_bytes);

}  // namespace splitring
