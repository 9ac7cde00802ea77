#include "tools/splitring/mount/fuse_operations.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <cstdio>

#include "tools/splitring/mount/fuse_session.h"
#include "tools/splitring/mount/fuse_worker.h"

namespace splitring::tools {
namespace {

FuseMount& mount_of(fuse_req_t request) {
  return *static_cast<FuseMount*>(fuse_req_userdata(request));
}

MountedTree& tree_of(fuse_req_t request) { return mount_of(request).tree; }

BlockQueue& lane() { return FuseWorker::current().lane(); }

void reply_error(fuse_req_t request, Errno error) {
  fuse_reply_err(request, static_cast<int>(error));
}

void reply(fuse_req_t request, const Answer<>& answer) {
  fuse_reply_err(request, answer ? 0 : static_cast<int>(answer.error()));
}

fuse_entry_param entry_of(const FuseMount& mount, const struct stat& status) {
  fuse_entry_param entry{};
  entry.ino = status.st_ino;
  entry.attr = status;
  entry.attr_timeout = mount.caching.status_s;
  entry.entry_timeout = S_ISDIR(status.st_mode) ? mount.caching.folders_s : mount.caching.names_s;
  return entry;
}

// Hands the answer's reference to the kernel. A request that was interrupted takes none.
void reply_entry(fuse_req_t request, const Answer<struct stat>& answer) {
  const FuseMount& mount = mount_of(request);
  if (!answer) return reply_error(request, answer.error());
  const fuse_entry_param entry = entry_of(mount, *answer);
  if (fuse_reply_entry(request, &entry) == -ENOENT) mount.tree.forget(entry.ino, 1);
}

// ---- the session

void init(void* user_data, fuse_conn_info* connection) {
  const FuseMount& mount = *static_cast<FuseMount*>(user_data);
  // The kernel may truncate as it opens. What it keeps of a file's bytes it need not doubt when the
  // file's time has changed: they changed through it.
  connection->want |= connection->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_CACHE_SYMLINKS);
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  constexpr unsigned kReadsAhead = 64;
  connection->max_background = kReadsAhead;
  connection->congestion_threshold = kReadsAhead * 3 / 4;
  connection->max_readahead = kFuseReadAheadBytes;
  if (mount.on_ready) mount.on_ready();
}

// ---- names

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const FuseMount& mount = mount_of(request);
  const auto found = mount.tree.lookup(lane(), parent, name);
  if (!found && found.error() == Errno{ENOENT} && mount.caching.absence_s > 0) {
    fuse_entry_param nothing{};
    nothing.entry_timeout = mount.caching.absence_s;
    fuse_reply_entry(request, &nothing);
    return;
  }
  reply_entry(request, found);
}

void forget(fuse_req_t request, fuse_ino_t node, uint64_t references) {
  tree_of(request).forget(node, references);
  fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  for (const fuse_forget_data& one : std::span(forgets, count))
    tree_of(request).forget(one.ino, one.nlookup);
  fuse_reply_none(request);
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t /*device*/) {
  if (!S_ISREG(mode)) return reply_error(request, Errno{EPERM});
  reply_entry(request, tree_of(request).create(lane(), parent, name, mode));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t /*mode*/) {
  reply_entry(request, tree_of(request).make_directory(lane(), parent, name));
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply(request, tree_of(request).remove_file(lane(), parent, name));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply(request, tree_of(request).remove_directory(lane(), parent, name));
}

// Neither file system that can be written to has links.
void symlink(fuse_req_t request, const char* /*target*/, fuse_ino_t /*parent*/,
             const char* /*name*/) {
  reply_error(request, Errno{EPERM});
}

void link(fuse_req_t request, fuse_ino_t /*node*/, fuse_ino_t /*parent*/, const char* /*name*/) {
  reply_error(request, Errno{EPERM});
}

void rename(fuse_req_t request, fuse_ino_t from, const char* from_name, fuse_ino_t to,
            const char* to_name, unsigned int flags) {
  if ((flags & ~unsigned{RENAME_NOREPLACE}) != 0) return reply_error(request, Errno{EINVAL});
  reply(request, tree_of(request).rename(lane(), {from, from_name}, {to, to_name}, flags == 0));
}

void readlink(fuse_req_t request, fuse_ino_t node) {
  const auto target = tree_of(request).read_link(node);
  if (!target) return reply_error(request, target.error());
  fuse_reply_readlink(request, target->c_str());
}

// ---- directories

// A kernel that is told ENOSYS opens no more directories, or files, and believes that what it keeps
// of them stays true. It says in its capabilities that it understands.
void opendir(fuse_req_t request, fuse_ino_t /*node*/, fuse_file_info* file) {
  if (mount_of(request).caching.keeps_listings) return reply_error(request, Errno{ENOSYS});
  fuse_reply_open(request, file);
}

// Fills the kernel's buffer with entries until one does not fit. Offsets: 0 "."; 1 ".."; then a
// cookie of the tree and kDots.
class Listing {
 public:
  static constexpr uint64_t kDots = 2;

  Listing(fuse_req_t request, size_t bytes, bool with_status)
      : request_(request),
        mount_(mount_of(request)),
        with_status_(with_status),
        room_(FuseWorker::current().buffer(bytes)) {}

  Answer<> fill(fuse_ino_t directory, uint64_t offset) {
    if (offset < 1 && !add_dot(".", directory, 1)) return {};
    if (offset < 2) {
      const Node above = TRY(mount_.tree.parent(directory));
      if (!add_dot("..", above, kDots)) return {};
    }
    // No entry takes less; the name of an entry with its status follows 152 bytes.
    const size_t most = (room_.size() - used_) / (with_status_ ? 160 : 32) + 1;
    const auto entries = TRY(mount_.tree.list(
        lane(), directory, offset < kDots ? 0 : offset - kDots, most, with_status_));
    bool fits = true;
    for (const TreeEntry& entry : entries) {
      fits = fits && add(entry.name, entry_of(mount_, entry.status), entry.cookie + kDots);
      if (!fits && with_status_) mount_.tree.forget(entry.status.st_ino, 1);
    }
    return {};
  }

  void reply() { fuse_reply_buf(request_, start(), used_); }

 private:
  char* start() { return reinterpret_cast<char*>(room_.data()); }

  // The kernel knows these nodes: their status is not sent.
  bool add_dot(const char* name, Node node, uint64_t next) {
    fuse_entry_param entry{};
    entry.attr.st_ino = node;
    entry.attr.st_mode = S_IFDIR;
    return add(name, entry, next);
  }

  bool add(const std::string& name, const fuse_entry_param& entry, uint64_t next) {
    const size_t left = room_.size() - used_;
    char* const at = start() + used_;
    const size_t bytes = with_status_ ? fuse_add_direntry_plus(request_, at, left, name.c_str(),
                                                               &entry, static_cast<off_t>(next))
                                      : fuse_add_direntry(request_, at, left, name.c_str(),
                                                          &entry.attr, static_cast<off_t>(next));
    if (bytes > left) return false;
    used_ += bytes;
    return true;
  }

  const fuse_req_t request_;
  const FuseMount& mount_;
  const bool with_status_;
  const std::span<std::byte> room_;
  size_t used_ = 0;
};

void list(fuse_req_t request, fuse_ino_t node, size_t bytes, off_t offset, bool with_status) {
  Listing listing(request, bytes, with_status);
  const auto filled = listing.fill(node, static_cast<uint64_t>(offset));
  if (!filled) return reply_error(request, filled.error());
  listing.reply();
}

void readdir(fuse_req_t request, fuse_ino_t node, size_t bytes, off_t offset,
             fuse_file_info* /*file*/) {
  list(request, node, bytes, offset, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t node, size_t bytes, off_t offset,
                 fuse_file_info* /*file*/) {
  list(request, node, bytes, offset, true);
}

void fsyncdir(fuse_req_t request, fuse_ino_t /*node*/, int /*data_only*/,
              fuse_file_info* /*file*/) {
  reply(request, tree_of(request).sync(lane()));
}

// ---- status

void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info* /*file*/) {
  const FuseMount& mount = mount_of(request);
  const auto status = mount.tree.status(lane(), node);
  if (!status) return reply_error(request, status.error());
  fuse_reply_attr(request, &*status, mount.caching.status_s);
}

TreeChange change_of(const struct stat& wanted, int fields) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  TreeChange change;
  if ((fields & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted.st_mode;
  if ((fields & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(wanted.st_size);
  if ((fields & FUSE_SET_ATTR_ATIME_NOW) != 0)
    change.accessed = now;
  else if ((fields & FUSE_SET_ATTR_ATIME) != 0)
    change.accessed = wanted.st_atim;
  if ((fields & FUSE_SET_ATTR_MTIME_NOW) != 0)
    change.modified = now;
  else if ((fields & FUSE_SET_ATTR_MTIME) != 0)
    change.modified = wanted.st_mtim;
  return change;
}

void setattr(fuse_req_t request, fuse_ino_t node, struct stat* wanted, int fields,
             fuse_file_info* file) {
  const auto done = tree_of(request).change(lane(), node, change_of(*wanted, fields));
  if (!done) return reply_error(request, done.error());
  getattr(request, node, file);
}

void statfs(fuse_req_t request, fuse_ino_t /*node*/) {
  const struct statvfs space = tree_of(request).space();
  fuse_reply_statfs(request, &space);
}

// ---- files

Answer<> open_node(MountedTree& tree, Node node, int flags) {
  TRY_VOID(tree.open(lane(), node));
  if ((flags & O_TRUNC) == 0) return {};
  const auto emptied = tree.change(lane(), node, {.size = 0});
  if (!emptied) tree.close(lane(), node);
  return emptied;
}

// The kernel keeps a file's bytes when it is closed: nobody else changes them.
void open(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  const FuseMount& mount = mount_of(request);
  if (!mount.caching.counts_opens) return reply_error(request, Errno{ENOSYS});
  const auto opened = open_node(mount.tree, node, file->flags);
  if (!opened) return reply_error(request, opened.error());
  file->keep_cache = 1;
  if (fuse_reply_open(request, file) == -ENOENT) mount.tree.close(lane(), node);
}

// Somebody else may have made it since the kernel looked.
Answer<struct stat> create_or_find(MountedTree& tree, Node parent, const char* name, mode_t mode,
                                   int flags) {
  auto made = tree.create(lane(), parent, name, mode);
  if (made || made.error() != Errno{EEXIST} || (flags & O_EXCL) != 0) return made;
  return tree.lookup(lane(), parent, name);
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
  const FuseMount& mount = mount_of(request);
  const auto status = create_or_find(mount.tree, parent, name, mode, file->flags);
  if (!status) return reply_error(request, status.error());
  const fuse_entry_param entry = entry_of(mount, *status);
  const auto opened = open_node(mount.tree, entry.ino, file->flags);
  if (!opened) {
    mount.tree.forget(entry.ino, 1);
    return reply_error(request, opened.error());
  }
  file->keep_cache = 1;
  if (fuse_reply_create(request, &entry, file) == -ENOENT) {
    mount.tree.close(lane(), entry.ino);
    mount.tree.forget(entry.ino, 1);
  }
}

void release(fuse_req_t request, fuse_ino_t node, fuse_file_info* /*file*/) {
  tree_of(request).close(lane(), node);
  fuse_reply_err(request, 0);
}

void read(fuse_req_t request, fuse_ino_t node, size_t bytes, off_t offset,
          fuse_file_info* /*file*/) {
  const std::span<std::byte> buffer = FuseWorker::current().buffer(bytes);
  if (buffer.size() < bytes) return reply_error(request, Errno{ENOMEM});
  const auto done = tree_of(request).read(lane(), node, static_cast<uint64_t>(offset), buffer);
  if (!done) return reply_error(request, done.error());
  fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), *done);
}

void write(fuse_req_t request, fuse_ino_t node, const char* bytes, size_t count, off_t offset,
           fuse_file_info* /*file*/) {
  const auto done = tree_of(request).write(lane(), node, static_cast<uint64_t>(offset),
                                           std::as_bytes(std::span(bytes, count)));
  if (!done) return reply_error(request, done.error());
  fuse_reply_write(request, count);
}

void fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
               fuse_file_info* /*file*/) {
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) return reply_error(request, Errno{EOPNOTSUPP});
  reply(request, tree_of(request).allocate(lane(), node, static_cast<uint64_t>(offset + length),
                                           (mode & FALLOC_FL_KEEP_SIZE) == 0));
}

void fsync(fuse_req_t request, fuse_ino_t node, int /*data_only*/, fuse_file_info* /*file*/) {
  reply(request, tree_of(request).sync_file(lane(), node));
}

void lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence,
           fuse_file_info* /*file*/) {
  const auto found = tree_of(request).seek(node, static_cast<uint64_t>(offset), whence);
  if (!found) return reply_error(request, found.error());
  fuse_reply_lseek(request, static_cast<off_t>(*found));
}

}  // namespace

// Not here, so that the kernel stops asking: flush (closing a file promises nothing, and what has
// failed by then was answered to whoever wrote it), extended attributes, and locks, which the
// kernel keeps by itself.
const fuse_lowlevel_ops& fuse_operations() {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    ops.lookup = lookup;
    ops.forget = forget;
    ops.forget_multi = forget_multi;
    ops.getattr = getattr;
    ops.setattr = setattr;
    ops.readlink = readlink;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.symlink = symlink;
    ops.link = link;
    ops.rename = rename;
    ops.open = open;
    ops.create = create;
    ops.release = release;
    ops.read = read;
    ops.write = write;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.lseek = lseek;
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.readdirplus = readdirplus;
    ops.fsyncdir = fsyncdir;
    ops.statfs = statfs;
    return ops;
  }();
  return operations;
}

}  // namespace splitring::tools
