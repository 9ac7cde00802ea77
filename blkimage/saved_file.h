// Files that are kept beside an image and say something about it that took long to find out: which
// image they are of, whether they may be believed, and how they are replaced.
//
// A file is ours if it is a regular one of our user or root, writable by nobody else: who may write
// it could write the image just as well. It is of an image if device, inode, size, and the times of
// modification and change are those of then: whoever changes an image moves its change time, which
// no program can set back; saving waits until that time lies a clock tick behind, so that a later
// change cannot have the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace splitring {

// Which file, and which state of it.
struct ImageIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;

  bool operator==(const ImageIdentity&) const = default;
};

// kUnsupported: no regular file.
Result<ImageIdentity> identify_image(const std::string& path);
// The same, of an image that has been left alone for longer than a tick of the file system's
// clock; waits for that, some milliseconds.
Result<ImageIdentity> identify_settled_image(const std::string& path);

struct SavedFile {
  UniqueFd file;
  uint64_t bytes = 0;
};
// For reading. kNotFound: none there. kPermission: not ours.
Result<SavedFile> open_saved_file(const std::string& path);
// Replaces the file at `path` as a whole, or leaves it as it was. `body` lies at `body_at`.
Result<> replace_saved_file(const std::string& path, std::span<const std::byte> front,
                            uint64_t body_at = 0, std::span<const std::byte> body = {});

// Finds damage, not malice.
[[nodiscard]] uint64_t saved_digest(std::span<const std::byte> bytes);

}  // namespace splitring
