// A tar archive as the kernel sees it: read-only, with the archive's modes, times, links and
// numbers of owners.
//
// A node is the number of an entry and one more; all names of a hard-linked file share that of the
// first one. The archive does not change, so nothing is counted, and the kernel may believe
// everything for as long as it likes. Left out are names that no directory can show, and what an
// archive should not bring to life: devices and pipes, links to nothing (TAR7).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fs/tar/tar_file_system.h"
#include "tools/splitring/mount/complaints.h"
#include "tools/splitring/mount/mount_options.h"
#include "tools/splitring/mount/mounted_tree.h"

namespace splitring::tools {

class TarTree final : public MountedTree {
 public:
  // `complaints` outlives the tree. What is left out is said there.
  TarTree(std::unique_ptr<TarFileSystem> files, MountOptions options, uint64_t disk_bytes,
          Complaints& complaints);

  [[nodiscard]] std::string kind() const override { return "tar"; }
  [[nodiscard]] Caching caching() const override;
  [[nodiscard]] bool has_foreign_modes() const override { return true; }
  Answer<struct stat> lookup(BlockQueue& lane, Node directory, std::string_view name) override;
  Answer<struct stat> status(BlockQueue& lane, Node node) override;
  Answer<Node> parent(Node node) override;
  Answer<std::vector<TreeEntry>> list(BlockQueue& lane, Node directory, uint64_t cookie,
                                      size_t most, bool refer) override;
  Answer<std::string> read_link(Node node) override;
  Answer<size_t> read(BlockQueue& lane, Node node, uint64_t offset,
                      std::span<std::byte> out) override;
  Answer<uint64_t> seek(Node node, uint64_t offset, int whence) override;
  struct statvfs space() override;

 private:
  using Number = uint32_t;

  struct Time {
    int64_t s = 0;
    uint32_t ns = 0;
    auto operator<=>(const Time&) const = default;
  };

  void find_parents();
  void gather_children();
  void join_hard_links();
  [[nodiscard]] bool is_shown(const TarEntry& entry) const;
  [[nodiscard]] Answer<TarEntry> entry_of(Node node) const;
  [[nodiscard]] struct stat describe(const TarEntry& entry) const;
  [[nodiscard]] Number first_name(Number number) const;

  const std::unique_ptr<TarFileSystem> files_;
  const MountOptions options_;
  const uint64_t disk_bytes_;
  Complaints& complaints_;

  std::vector<Number> parents_;
  // The children of n are children_[child_begin_[n]] to children_[child_begin_[n + 1]], in the
  // order of the archive.
  std::vector<uint32_t> child_begin_;
  std::vector<Number> children_;
  std::vector<uint32_t> names_;                     // how many names an entry has: st_nlink
  std::unordered_map<Number, Number> first_names_;  // of second names
  std::unordered_map<Number, Time> newest_;         // child of a directory without a header
  uint64_t left_out_ = 0;
};

}  // namespace splitring::tools
