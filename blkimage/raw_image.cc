#include "blkimage/raw_image.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <fstream>

#include "blkimage/raw_lanes.h"

namespace splitring {
namespace {

constexpr uint32_t kMaxPhysicalBlockBytes = 1U << 20;

Result<UniqueFd> open_file(const std::string& path, const RawOptions& options, bool direct) {
  // O_NONBLOCK: opening a FIFO that took the file's place must not hang. Not kept: io_uring would
  // fail requests with EAGAIN where it should hand them to a worker.
  const int flags = (options.read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) | O_CLOEXEC |
                    O_NOCTTY | O_NONBLOCK;
  UniqueFd fd(::open(path.c_str(), flags));
  if (fd) {
    const int kept = ::fcntl(fd.get(), F_GETFL);
    if (kept < 0 || ::fcntl(fd.get(), F_SETFL, kept & ~O_NONBLOCK) != 0)
      return fail_errno(path, errno);
    return fd;
  }
  if (errno == EISDIR) return fail(Errc::kInvalid, path + " is a directory, not a disk image");
  if (direct && errno == EINVAL)
    return fail(Errc::kUnsupported, path + ": no direct I/O here; use direct=off");
  return fail_errno(path, errno);
}

Result<> check_kind(const std::string& path, mode_t mode) {
  if (S_ISREG(mode) || S_ISBLK(mode)) return {};
  const char* kind = S_ISDIR(mode)    ? "a directory"
                     : S_ISCHR(mode)  ? "a character device"
                     : S_ISFIFO(mode) ? "a pipe"
                     : S_ISSOCK(mode) ? "a socket"
                                      : "something else";
  return fail(Errc::kInvalid,
              path + " is " + kind + ", not a disk image: a file or a block device is needed");
}

Result<> lock(const std::string& path, int fd, bool read_only) {
  if (::flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return fail_errno(path + ": locking", errno);
  return fail(Errc::kBusy, path +
                               (read_only ? " is open for writing elsewhere"
                                          : " is in use elsewhere; one writer is allowed") +
                               " (lock=off overrides this at your own risk)");
}

Result<uint64_t> size_in_bytes(const std::string& path, const RawFile& file) {
  if (file.block_device) {
    uint64_t bytes = 0;
    if (::ioctl(file.fd.get(), BLKGETSIZE64, &bytes) != 0)
      return fail_errno(path + ": size", errno);
    return bytes;
  }
  struct stat status;
  if (::fstat(file.fd.get(), &status) != 0) return fail_errno(path, errno);
  return static_cast<uint64_t>(status.st_size);
}

bool lies_in_memory(int fd) {
  struct statfs status;
  if (::fstatfs(fd, &status) != 0) return false;
  return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
}

struct DirectAlignment {
  uint32_t memory = 0;  // 0: direct I/O is not offered
  uint32_t offset = 0;
};

// Kernels before 6.1 do not say: then the logical block of the disk below serves for both, and for
// a file, whose disk is not known, a page.
DirectAlignment direct_alignment(const RawFile& file, uint32_t device_block_bytes) {
  struct statx status {};
  if (::statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
      (status.stx_mask & STATX_DIOALIGN) != 0)
    return {status.stx_dio_mem_align, status.stx_dio_offset_align};
  if (file.block_device) return {device_block_bytes, device_block_bytes};
  return {kPageSize, kSectorSize};
}

// Harmless: beyond the end of the file there is nothing to lose, and KEEP_SIZE keeps it so.
bool can_punch(int fd, uint64_t size) {
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(round_up(size, kPageSize)), kPageSize) == 0;
}

// 0: the device cannot discard, or does not say. A partition's queue is its parent's.
uint32_t device_discard_granularity(dev_t device) {
  const std::string base =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* queue : {"/queue/", "/../queue/"}) {
    uint64_t granularity = 0, max_bytes = 0;
    if (!(std::ifstream(base + queue + "discard_granularity") >> granularity)) continue;
    std::ifstream(base + queue + "discard_max_bytes") >> max_bytes;
    if (max_bytes == 0 || granularity > UINT32_MAX) return 0;
    return static_cast<uint32_t>(granularity);
  }
  return 0;
}

Result<Geometry> probe_geometry(const std::string& path, const RawFile& file,
                                const RawOptions& options, const struct stat& status) {
  Geometry geometry;
  uint32_t device_block = kSectorSize;
  uint64_t physical = static_cast<uint64_t>(status.st_blksize);
  if (file.block_device) {
    int logical = 0;
    unsigned hardware = 0;
    if (::ioctl(file.fd.get(), BLKSSZGET, &logical) != 0 ||
        ::ioctl(file.fd.get(), BLKPBSZGET, &hardware) != 0)
      return fail_errno(path + ": block size", errno);
    device_block = static_cast<uint32_t>(logical);
    physical = hardware;
  }
  geometry.logical_block_bytes =
      options.logical_block_bytes != 0 ? options.logical_block_bytes : device_block;
  if (geometry.logical_block_bytes != 512 && geometry.logical_block_bytes != 4096)
    return fail(Errc::kInvalid, path + ": block size " +
                                    std::to_string(geometry.logical_block_bytes) +
                                    " is neither 512 nor 4096");
  if (geometry.logical_block_bytes < device_block)
    return fail(Errc::kInvalid, path + ": the device has blocks of " +
                                    std::to_string(device_block) + " bytes, not of " +
                                    std::to_string(geometry.logical_block_bytes));
  if (!is_power_of_two(physical) || physical > kMaxPhysicalBlockBytes) physical = kPageSize;
  geometry.physical_block_bytes =
      std::max(static_cast<uint32_t>(physical), geometry.logical_block_bytes);
  const uint64_t bytes = TRY(size_in_bytes(path, file));
  if (bytes % geometry.logical_block_bytes != 0)
    return fail(Errc::kInvalid, path + ": its size, " + std::to_string(bytes) +
                                    " bytes, is not a multiple of the block size, " +
                                    std::to_string(geometry.logical_block_bytes));
  geometry.capacity = Sectors::from_bytes(bytes);
  geometry.read_only = options.read_only;
  geometry.needs_flush = !file.in_memory;
  if (options.discard && !options.read_only) {
    if (file.block_device)
      geometry.discard_granularity_bytes = device_discard_granularity(status.st_rdev);
    else if (can_punch(file.fd.get(), bytes))
      geometry.discard_granularity_bytes = geometry.physical_block_bytes;
  }
  return geometry;
}

}  // namespace

Result<std::unique_ptr<RawImage>> RawImage::open(const std::string& path,
                                                 const RawOptions& options) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return fail_errno(path, errno);
  TRY_VOID(check_kind(path, status.st_mode));
  auto file = std::make_unique<RawFile>();
  file->read_only = options.read_only;
  file->direct = options.direct == RawOptions::Direct::kOn ||
                 (options.direct == RawOptions::Direct::kAuto && S_ISBLK(status.st_mode));
  file->fd = TRY(open_file(path, options, file->direct));
  // Once more on what was really opened: the name may have changed its meaning.
  if (::fstat(file->fd.get(), &status) != 0) return fail_errno(path, errno);
  TRY_VOID(check_kind(path, status.st_mode));
  file->block_device = S_ISBLK(status.st_mode);
  if (options.lock) TRY_VOID(lock(path, file->fd.get(), options.read_only));
  file->in_memory = !file->block_device && lies_in_memory(file->fd.get());
  const Geometry geometry = TRY(probe_geometry(path, *file, options, status));
  if (file->direct) {
    const DirectAlignment alignment = direct_alignment(*file, geometry.logical_block_bytes);
    if (alignment.memory == 0 || alignment.memory > kPageSize)
      return fail(Errc::kUnsupported, path + ": no direct I/O here; use direct=off");
    if (alignment.offset > geometry.logical_block_bytes)
      return fail(Errc::kUnsupported, path + ": direct I/O here needs blocks of " +
                                          std::to_string(alignment.offset) +
                                          " bytes; use block=4096 or direct=off");
    file->memory_align_bytes = alignment.memory;
    file->length_align_bytes = alignment.offset;
  } else {
    // Large folios, which sequential reads bring in, make later small writes ten times as dear.
    ::posix_fadvise(file->fd.get(), 0, 0, POSIX_FADV_RANDOM);
  }
  return std::unique_ptr<RawImage>(new RawImage(geometry, path, std::move(file), options.io_uring));
}

// By word, not by closing: the kernel takes its time to let go of the files of an io_uring, and the
// lock would live as long.
RawImage::~RawImage() { ::flock(file_->fd.get(), LOCK_UN); }

Result<std::unique_ptr<BlockQueue>> RawImage::open_queue(const QueueOptions& options) {
  // Measured, 4 KiB on tmpfs: pread 1.7 us; io_uring, which there goes through a worker thread,
  // 56 us one at a time and 3.7 us at depth 32.
  if (io_uring_ && !file_->in_memory) {
    auto lane = TRY(open_raw_ring_lane(*file_, state(), options));
    if (lane != nullptr) return lane;
  }
  return open_raw_plain_lane(*file_, state(), options);
}

Result<Sectors> RawImage::refresh_capacity() {
  const uint64_t bytes = TRY(size_in_bytes(path_, *file_));
  // A size that ends within a block, while somebody resizes it: whole blocks count.
  const uint64_t block = geometry().logical_block_bytes;
  set_capacity(Sectors::from_bytes(bytes / block * block));
  return geometry().capacity;
}

}  // namespace splitring
