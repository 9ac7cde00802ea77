#include "tools/splitring/mount/fat_tree.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace splitring::tools {
namespace {

constexpr mode_t kWriteBits = 0222;
constexpr double kADay = 86400;  // seconds
constexpr std::chrono::seconds kWorkAtTheEnd{5};

FatNode fat_node(Node node) { return FatNode{node}; }

mode_t process_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

mode_t without(const std::optional<mode_t>& mask) { return 0777 & ~mask.value_or(process_umask()); }

timespec time_of(const FatTime& time) {
  return {.tv_sec = time.s, .tv_nsec = static_cast<int64_t>(time.ns)};
}

FatTime fat_time(const timespec& time) {
  return {.s = time.tv_sec, .ns = static_cast<uint32_t>(time.tv_nsec)};
}

}  // namespace

FatTree::FatTree(std::unique_ptr<FatVolume> volume, const MountOptions& options,
                 Complaints& complaints)
    : volume_(std::move(volume)),
      uid_(options.uid.value_or(::getuid())),
      gid_(options.gid.value_or(::getgid())),
      file_mode_(without(options.file_mask)),
      directory_mode_(without(options.directory_mask)),
      cluster_bytes_(volume_->space().cluster_bytes),
      complaints_(complaints) {
  pass_on_notes();
}

std::string FatTree::kind() const { return to_string(volume_->info().type); }

// Nobody else changes the volume, so what was told stays true until it is changed through the
// kernel. Names of files are another matter: one file answers to many spellings, of which the
// kernel keeps each for itself; removed by one it would live on under the others. A directory it
// knows under one name only.
Caching FatTree::caching() const { return {.folders_s = kADay, .status_s = kADay}; }

struct stat FatTree::describe(const FatStat& found) const {
  struct stat status {};
  status.st_ino = static_cast<ino_t>(found.node);
  status.st_mode = found.is_directory
                       ? S_IFDIR | directory_mode_
                       : S_IFREG | (found.flags.read_only ? file_mode_ & ~kWriteBits : file_mode_);
  status.st_nlink = 1;
  status.st_uid = uid_;
  status.st_gid = gid_;
  status.st_size = static_cast<off_t>(found.size);
  status.st_blksize = cluster_bytes_;
  status.st_blocks = static_cast<blkcnt_t>(found.allocated_bytes / 512);
  status.st_mtim = status.st_ctim = time_of(found.modified);
  status.st_atim = time_of(found.accessed);
  return status;
}

tl::unexpected<Errno> FatTree::refusal(const Error& error, int of_limit) {
  switch (error.code) {
    case Errc::kLimit: return refuse(of_limit);
    case Errc::kBusy: return refuse(ENOTEMPTY);
    case Errc::kPermission: return refuse(volume_->read_only() ? EROFS : EPERM);
    default: return tl::unexpected(complaints_.number_of(error));
  }
}

Answer<> FatTree::changed(const Result<>& done, int of_limit) {
  unsettled_.store(true, std::memory_order_relaxed);
  if (!done) return refusal(done.error(), of_limit);
  return {};
}

Answer<struct stat> FatTree::lookup(BlockQueue& lane, Node directory, std::string_view name) {
  const auto found = volume_->lookup(lane, fat_node(directory), name);
  if (!found) {
    // What cannot be a name names nothing.
    if (found.error().code == Errc::kInvalid) return refuse(ENOENT);
    return refusal(found.error(), ENAMETOOLONG);
  }
  return describe(*found);
}

void FatTree::forget(Node node, uint64_t references) {
  // A directory that damage has made its own parent is listed, and is no node.
  if (node != 0) volume_->forget(fat_node(node), references);
}

Answer<struct stat> FatTree::status(BlockQueue& lane, Node node) {
  const auto found = volume_->stat(lane, fat_node(node));
  if (!found) return refusal(found.error(), EINVAL);
  return describe(*found);
}

Answer<Node> FatTree::parent(Node node) {
  const auto above = volume_->parent(fat_node(node));
  if (!above) return refusal(above.error(), EINVAL);
  return static_cast<Node>(*above);
}

Answer<std::vector<TreeEntry>> FatTree::list(BlockQueue& lane, Node directory, uint64_t cookie,
                                             size_t most, bool refer) {
  // Always with references: without them there are no inode numbers, and readers of directories
  // pass over entries that have none.
  auto found = volume_->list(lane, fat_node(directory), cookie, most, FatVolume::References::kTake);
  if (!found) return refusal(found.error(), EINVAL);
  std::vector<TreeEntry> entries;
  entries.reserve(found->size());
  for (FatEntry& entry : *found) {
    entries.push_back({std::move(entry.name), describe(entry.stat), entry.cookie});
    if (!refer) forget(static_cast<Node>(entry.stat.node), 1);
  }
  return entries;
}

Answer<size_t> FatTree::read(BlockQueue& lane, Node node, uint64_t offset,
                             std::span<std::byte> out) {
  const auto bytes = volume_->read(lane, fat_node(node), offset, out);
  if (!bytes) return refusal(bytes.error(), EINVAL);
  return *bytes;
}

struct statvfs FatTree::space() {
  const FatSpace found = volume_->space();
  struct statvfs space {};
  space.f_bsize = space.f_frsize = found.cluster_bytes;
  space.f_blocks = found.clusters;
  space.f_bfree = space.f_bavail = found.free_clusters;
  space.f_namemax = 255;
  return space;
}

Answer<struct stat> FatTree::create(BlockQueue& lane, Node directory, std::string_view name,
                                    mode_t mode) {
  const FatFlags flags{.read_only = (mode & kWriteBits) == 0, .archive = true};
  const auto made = volume_->create(lane, fat_node(directory), name, flags);
  if (!made) return refusal(made.error(), ENAMETOOLONG);
  unsettled_.store(true, std::memory_order_relaxed);
  return describe(*made);
}

Answer<struct stat> FatTree::make_directory(BlockQueue& lane, Node directory,
                                            std::string_view name) {
  const auto made = volume_->make_directory(lane, fat_node(directory), name);
  if (!made) return refusal(made.error(), ENAMETOOLONG);
  unsettled_.store(true, std::memory_order_relaxed);
  return describe(*made);
}

Answer<> FatTree::remove_file(BlockQueue& lane, Node directory, std::string_view name) {
  return changed(volume_->remove_file(lane, fat_node(directory), name));
}

Answer<> FatTree::remove_directory(BlockQueue& lane, Node directory, std::string_view name) {
  return changed(volume_->remove_directory(lane, fat_node(directory), name));
}

Answer<> FatTree::rename(BlockQueue& lane, Place from, Place to, bool replace) {
  return changed(
      volume_->rename(lane, fat_node(from.directory), from.name, fat_node(to.directory), to.name,
                      replace ? FatVolume::Replace::kAllow : FatVolume::Replace::kRefuse));
}

Answer<> FatTree::resize(BlockQueue& lane, FatNode node, uint64_t size) {
  TRY_VOID(open(lane, static_cast<Node>(node)));
  const auto done = volume_->truncate(lane, node, size);
  close(lane, static_cast<Node>(node));
  return changed(done, EFBIG);
}

Answer<> FatTree::change(BlockQueue& lane, Node number, const TreeChange& change) {
  const FatNode node = fat_node(number);
  if (change.size) TRY_VOID(resize(lane, node, *change.size));
  FatChange entry;
  if (change.mode) {
    const auto found = volume_->stat(lane, node);
    if (!found) return refusal(found.error(), EINVAL);
    FatFlags flags = found->flags;
    flags.read_only = (*change.mode & kWriteBits) == 0;
    if (!found->is_directory && flags != found->flags) entry.flags = flags;
  }
  if (change.accessed) entry.accessed = fat_time(*change.accessed);
  if (change.modified) entry.modified = fat_time(*change.modified);
  // The root has no entry that could keep a time: what cannot be kept is passed over.
  if (node == kFatRoot || (!entry.flags && !entry.accessed && !entry.modified)) return {};
  return changed(volume_->change(lane, node, entry));
}

Answer<> FatTree::open(BlockQueue& lane, Node node) {
  const auto done = volume_->open_file(lane, fat_node(node));
  if (!done) return refusal(done.error(), EINVAL);
  return {};
}

void FatTree::close(BlockQueue& lane, Node node) {
  if (const auto done = volume_->close_file(lane, fat_node(node)); !done)
    complaints_.say(done.error().what);
}

Answer<> FatTree::write(BlockQueue& lane, Node node, uint64_t offset,
                        std::span<const std::byte> in) {
  return changed(volume_->write(lane, fat_node(node), offset, in), EFBIG);
}

Answer<> FatTree::allocate(BlockQueue& lane, Node number, uint64_t size, bool extend) {
  const FatNode node = fat_node(number);
  TRY_VOID(changed(volume_->preallocate(lane, node, size), EFBIG));
  if (!extend) return {};
  const auto found = volume_->stat(lane, node);
  if (!found) return refusal(found.error(), EINVAL);
  if (found->size >= size) return {};
  return changed(volume_->truncate(lane, node, size), EFBIG);
}

Answer<> FatTree::sync_file(BlockQueue& lane, Node node) {
  const auto done = volume_->sync_file(lane, fat_node(node));
  if (!done) return refusal(done.error(), EIO);
  return {};
}

Answer<> FatTree::sync(BlockQueue& lane) {
  const auto done = volume_->sync(lane);
  if (!done) return refusal(done.error(), EIO);
  return {};
}

// What stands in its way is among the notes.
bool FatTree::work(BlockQueue& lane) {
  const auto more = volume_->recover_some(lane);
  return more && *more;
}

void FatTree::settle(BlockQueue& lane) {
  pass_on_notes();
  if (!unsettled_.exchange(false, std::memory_order_relaxed)) return;
  if (const auto done = volume_->sync(lane); !done) complaints_.say(done.error().what);
}

Result<> FatTree::finish(BlockQueue& lane) {
  // Whoever unmounts a volume wants it to be in order, but does not wait for a large one.
  const auto until = std::chrono::steady_clock::now() + kWorkAtTheEnd;
  while (work(lane) && std::chrono::steady_clock::now() < until) continue;
  pass_on_notes();
  return volume_->close(lane);
}

void FatTree::pass_on_notes() {
  const std::vector<std::string> notes = volume_->notes();
  for (; notes_told_ < notes.size(); notes_told_++) complaints_.say(notes[notes_told_]);
}

}  // namespace splitring::tools
