// A FAT volume as the kernel sees it.
//
// FAT keeps neither owners nor modes: everything belongs to one user and group, with one mode for
// files and one for directories; a file that is marked as read-only lacks the bits for writing.
// Changing the mode sets or clears that mark, and what cannot be kept is passed over in silence, or
// tar and rsync would complain of every file. Directories are said to have one link, as file
// systems do that do not count them: find(1) then looks into all.
//
// A volume that was not unmounted is put in order in the background.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fs/fat/fat_volume.h"
#include "tools/splitring/mount/complaints.h"
#include "tools/splitring/mount/mount_options.h"
#include "tools/splitring/mount/mounted_tree.h"

namespace splitring::tools {

class FatTree final : public MountedTree {
 public:
  // `complaints` outlives the tree.
  FatTree(std::unique_ptr<FatVolume> volume, const MountOptions& options, Complaints& complaints);

  [[nodiscard]] std::string kind() const override;
  [[nodiscard]] Caching caching() const override;
  [[nodiscard]] bool read_only() const override { return volume_->read_only(); }
  Answer<struct stat> lookup(BlockQueue& lane, Node directory, std::string_view name) override;
  void forget(Node node, uint64_t references) override;
  Answer<struct stat> status(BlockQueue& lane, Node node) override;
  Answer<Node> parent(Node node) override;
  Answer<std::vector<TreeEntry>> list(BlockQueue& lane, Node directory, uint64_t cookie,
                                      size_t most, bool refer) override;
  Answer<size_t> read(BlockQueue& lane, Node node, uint64_t offset,
                      std::span<std::byte> out) override;
  struct statvfs space() override;

  Answer<struct stat> create(BlockQueue& lane, Node directory, std::string_view name,
                             mode_t mode) override;
  Answer<struct stat> make_directory(BlockQueue& lane, Node directory,
                                     std::string_view name) override;
  Answer<> remove_file(BlockQueue& lane, Node directory, std::string_view name) override;
  Answer<> remove_directory(BlockQueue& lane, Node directory, std::string_view name) override;
  Answer<> rename(BlockQueue& lane, Place from, Place to, bool replace) override;
  Answer<> change(BlockQueue& lane, Node node, const TreeChange& change) override;
  Answer<> open(BlockQueue& lane, Node node) override;
  void close(BlockQueue& lane, Node node) override;
  Answer<> write(BlockQueue& lane, Node node, uint64_t offset,
                 std::span<const std::byte> in) override;
  Answer<> allocate(BlockQueue& lane, Node node, uint64_t size, bool extend) override;
  Answer<> sync_file(BlockQueue& lane, Node node) override;
  Answer<> sync(BlockQueue& lane) override;
  bool work(BlockQueue& lane) override;
  void settle(BlockQueue& lane) override;
  Result<> finish(BlockQueue& lane) override;

 private:
  [[nodiscard]] struct stat describe(const FatStat& found) const;
  Answer<> resize(BlockQueue& lane, FatNode node, uint64_t size);
  [[nodiscard]] tl::unexpected<Errno> refusal(const Error& error, int of_limit);
  // The answer to something that changes the volume.
  Answer<> changed(const Result<>& done, int of_limit = ENAMETOOLONG);
  void pass_on_notes();

  const std::unique_ptr<FatVolume> volume_;
  const uid_t uid_;
  const gid_t gid_;
  const mode_t file_mode_;
  const mode_t directory_mode_;
  const uint32_t cluster_bytes_;
  Complaints& complaints_;
  std::atomic<bool> unsettled_{false};  // something was changed since settle() looked
  size_t notes_told_ = 0;               // one thread: the one that settles
};

}  // namespace splitring::tools
