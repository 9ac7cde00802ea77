// A directory of the host into which an archive is extracted, and out of which nothing leads: every
// path is opened below it by openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, so neither
// "..", nor an absolute name, nor a symbolic link (of the archive, or of whoever else can write
// there) leaves it.
//
// Nothing that exists is followed or opened for writing: files are made anew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/tar/tar_file_system.h"

namespace splitring::tools {

class TarPlace {
 public:
  // Makes the directory if it is not there. `overwrite`: what exists is replaced, but for
  // directories that hold something.
  static Result<TarPlace> open(const std::string& directory, bool overwrite, bool same_owner);

  // Errors of all of these: kInvalid (the path leads out), kExists, and the host's.
  // Directories that the path needs are made.
  Result<> make_directory(std::string_view path) const;
  // For writing.
  Result<UniqueFd> make_file(std::string_view path) const;
  Result<> make_symlink(std::string_view path, std::string_view target) const;
  Result<> make_hard_link(std::string_view path, std::string_view existing) const;
  // For reading; kNotFound if there is none. Follows no symbolic link.
  [[nodiscard]] Result<UniqueFd> open_existing(std::string_view path) const;
  // The target of a symbolic link.
  [[nodiscard]] Result<std::string> read_symlink(std::string_view path) const;

  // Owner (if that was asked for), mode and time as the entry has them. Set-id bits only with the
  // owner that they were meant for.
  Result<> set_metadata(int fd, const TarEntry& entry) const;
  // The same for what has no descriptor: a symbolic link's time and owner.
  Result<> set_link_metadata(const TarEntry& entry) const;

 private:
  TarPlace(UniqueFd root, bool overwrite, bool same_owner)
      : root_(std::move(root)), overwrite_(overwrite), same_owner_(same_owner) {}

  // The directory that holds `path`, and the last component of it.
  struct Parent {
    UniqueFd directory;
    std::string name;
  };
  [[nodiscard]] Result<Parent> parent_of(std::string_view path, bool make) const;
  Result<> make_room(const Parent& parent, std::string_view path) const;
  [[nodiscard]] Result<UniqueFd> open_below(std::string_view path, uint64_t flags) const;

  UniqueFd root_;
  bool overwrite_;
  bool same_owner_;
};

}  // namespace splitring::tools
