// What a mount needs of a file system: the doorway between the kernel's requests
// (fuse_operations.cc) and the two file systems behind it (tar_tree.h, fat_tree.h).
//
// Threads: any, at the same time; each call is given a lane of the calling thread's own.
// Nodes: inode numbers, the root is 1. A node that lookup(), create(), make_directory() or list()
// hands out has one reference more, until forget() has taken it.
// Errors are the numbers that a system call returns. What a person has to know of them has been
// said by then (complaints.h).
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"

namespace splitring::tools {

enum class Errno : int {};

template <class T = void>
using Answer = tl::expected<T, Errno>;

[[nodiscard]] inline tl::unexpected<Errno> refuse(int error_number) {
  return tl::unexpected<Errno>(Errno{error_number});
}

using Node = uint64_t;
inline constexpr Node kRootNode = 1;

struct TreeEntry {
  std::string name;
  struct stat status {};
  uint64_t cookie = 0;  // where to go on behind this entry
};

// What setattr changes; the rest stays.
struct TreeChange {
  std::optional<mode_t> mode = {};
  std::optional<uint64_t> size = {};
  std::optional<timespec> accessed = {};
  std::optional<timespec> modified = {};
};

// How long the kernel may believe what it was told, in seconds.
struct Caching {
  double names_s = 0;    // that a file has a name
  double folders_s = 0;  // that a directory has a name
  double absence_s = 0;  // that there is no such name
  double status_s = 0;   // size, times and mode
  bool keeps_listings = false;
  bool counts_opens = true;  // false: files need not be opened
};

class MountedTree {
 public:
  MountedTree() = default;
  virtual ~MountedTree() = default;
  MountedTree(const MountedTree&) = delete;
  MountedTree& operator=(const MountedTree&) = delete;

  // "FAT32", "tar"
  [[nodiscard]] virtual std::string kind() const = 0;
  [[nodiscard]] virtual Caching caching() const = 0;
  [[nodiscard]] virtual bool read_only() const { return true; }
  // Modes and owners are those of whoever made the disk, on another machine.
  [[nodiscard]] virtual bool has_foreign_modes() const { return false; }

  virtual Answer<struct stat> lookup(BlockQueue& lane, Node directory, std::string_view name) = 0;
  virtual void forget(Node /*node*/, uint64_t /*references*/) {}
  virtual Answer<struct stat> status(BlockQueue& lane, Node node) = 0;
  virtual Answer<Node> parent(Node node) = 0;
  // At most `most` entries behind `cookie` (0: from the first), without "." and "..". Whether their
  // nodes are referred to, as if looked up, says `refer`.
  virtual Answer<std::vector<TreeEntry>> list(BlockQueue& lane, Node directory, uint64_t cookie,
                                              size_t most, bool refer) = 0;
  virtual Answer<std::string> read_link(Node /*node*/) { return refuse(EINVAL); }
  // Less than asked for at the file's end only.
  virtual Answer<size_t> read(BlockQueue& lane, Node node, uint64_t offset,
                              std::span<std::byte> out) = 0;
  // lseek's SEEK_DATA and SEEK_HOLE. ENOSYS: files have no holes.
  virtual Answer<uint64_t> seek(Node /*node*/, uint64_t /*offset*/, int /*whence*/) {
    return refuse(ENOSYS);
  }
  virtual struct statvfs space() = 0;

  // ---- what changes something

  virtual Answer<struct stat> create(BlockQueue& /*lane*/, Node /*directory*/,
                                     std::string_view /*name*/, mode_t /*mode*/) {
    return refuse(EROFS);
  }
  virtual Answer<struct stat> make_directory(BlockQueue& /*lane*/, Node /*directory*/,
                                             std::string_view /*name*/) {
    return refuse(EROFS);
  }
  virtual Answer<> remove_file(BlockQueue& /*lane*/, Node /*directory*/,
                               std::string_view /*name*/) {
    return refuse(EROFS);
  }
  virtual Answer<> remove_directory(BlockQueue& /*lane*/, Node /*directory*/,
                                    std::string_view /*name*/) {
    return refuse(EROFS);
  }
  struct Place {
    Node directory;
    std::string_view name;
  };
  virtual Answer<> rename(BlockQueue& /*lane*/, Place /*from*/, Place /*to*/, bool /*replace*/) {
    return refuse(EROFS);
  }
  virtual Answer<> change(BlockQueue& /*lane*/, Node /*node*/, const TreeChange& /*change*/) {
    return refuse(EROFS);
  }

  // Each open() that was answered is followed by one close().
  virtual Answer<> open(BlockQueue& /*lane*/, Node /*node*/) { return {}; }
  virtual void close(BlockQueue& /*lane*/, Node /*node*/) {}
  virtual Answer<> write(BlockQueue& /*lane*/, Node /*node*/, uint64_t /*offset*/,
                         std::span<const std::byte> /*in*/) {
    return refuse(EROFS);
  }
  // Sets room aside for the file's first `size` bytes; `extend`: it is that long afterwards.
  virtual Answer<> allocate(BlockQueue& /*lane*/, Node /*node*/, uint64_t /*size*/,
                            bool /*extend*/) {
    return refuse(EROFS);
  }
  virtual Answer<> sync_file(BlockQueue& /*lane*/, Node /*node*/) { return {}; }
  virtual Answer<> sync(BlockQueue& /*lane*/) { return {}; }
  // A small part of what is to be done in the background; called while nobody asks for anything,
  // and now and then if everybody does. False: nothing is left to do.
  virtual bool work(BlockQueue& /*lane*/) { return false; }
  // Called every few seconds: makes durable what was changed a while ago.
  virtual void settle(BlockQueue& /*lane*/) {}
  // The last call: everything is on the disk, and the file system marked as unmounted.
  virtual Result<> finish(BlockQueue& /*lane*/) { return {}; }
};

}  // namespace splitring::tools
