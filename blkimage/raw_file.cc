#include "blkimage/raw_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

namespace splitring {
namespace {

// Bounds what one system call moves, below every 32-bit and MAX_RW_COUNT limit and still aligned.
constexpr uint64_t kMaxPieceBytes = 1U << 30;

constexpr size_t kZeroRunBytes = 64U << 10;
constexpr size_t kZeroRuns = 16;

// Never written; the kernel's interface has no const.
alignas(kPageSize) std::array<std::byte, kZeroRunBytes> zero_run{};

constexpr std::array<iovec, kZeroRuns> make_zero_list() {
  std::array<iovec, kZeroRuns> list{};
  for (iovec& entry : list) entry = {zero_run.data(), kZeroRunBytes};
  return list;
}
constexpr std::array<iovec, kZeroRuns> kZeroList = make_zero_list();

ssize_t transfer_piece(int fd, Operation operation, const Progress::Piece& piece,
                       int flags) noexcept {
  const auto offset = static_cast<off_t>(piece.byte_offset);
  const bool reading = operation == Operation::kRead;
  if (piece.count == 1 && flags == 0)
    return reading ? ::pread(fd, piece.only.iov_base, piece.only.iov_len, offset)
                   : ::pwrite(fd, piece.only.iov_base, piece.only.iov_len, offset);
  const iovec* buffers = piece.count == 1 ? &piece.only : piece.buffers;
  const auto count = static_cast<int>(piece.count);
  return reading ? ::preadv2(fd, buffers, count, offset, flags)
                 : ::pwritev2(fd, buffers, count, offset, flags);
}

std::optional<IoStatus> after_slice(BlockRequest& request, uint64_t bytes) noexcept {
  Progress progress(request);
  request.scratch[0] += bytes;
  if (progress.left() != 0) return std::nullopt;
  return IoStatus::kOk;
}

std::optional<IoStatus> write_zero_slice(const RawFile& file, BlockRequest& request) noexcept {
  const Progress progress(request);
  iovec last;
  const ZeroBuffers zeroes = zero_buffers(progress.left(), last);
  const ssize_t written =
      ::pwritev(file.fd.get(), zeroes.buffers.data(), static_cast<int>(zeroes.buffers.size()),
                static_cast<off_t>(progress.byte_offset()));
  if (written > 0) return after_slice(request, static_cast<uint64_t>(written));
  if (written < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  return written < 0 ? io_status_from_errno(errno) : IoStatus::kIoError;
}

int transfer_bounced(const RawFile& file, BlockRequest& request,
                     std::span<std::byte> bounce) noexcept {
  Progress progress(request);
  while (progress.left() != 0) {
    const auto part = bounce.first(std::min<uint64_t>(progress.left(), bounce.size()));
    if (request.operation == Operation::kWrite) progress.gather(part);
    const iovec whole{part.data(), part.size()};
    const ssize_t moved = transfer_piece(
        file.fd.get(), request.operation,
        {.only = whole, .buffers = &whole, .count = 1, .byte_offset = progress.byte_offset()}, 0);
    if (moved == 0) return 0;
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return errno;
    const auto bytes = static_cast<size_t>(moved);
    if (request.operation == Operation::kRead) progress.scatter(part.first(bytes));
    progress.advance(bytes);
  }
  return 0;
}

std::optional<IoStatus> range_step(RawFile& file, BlockRequest& request) noexcept {
  if (request.operation == Operation::kDiscard && file.block_device)
    return discard_device_slice(file, request);
  const auto mode = range_mode(file, request.operation);
  if (!mode) return write_zero_slice(file, request);
  const Progress progress(request);
  const uint64_t slice = std::min(progress.left(), kRangeSliceBytes);
  if (::fallocate(file.fd.get(), *mode, static_cast<off_t>(progress.byte_offset()),
                  static_cast<off_t>(slice)) == 0)
    return after_slice(request, slice);
  if (errno == EINTR || errno == EAGAIN) return std::nullopt;
  if (request.operation == Operation::kWriteZeroes && errno == EOPNOTSUPP) {
    file.can_zero_range.store(false, std::memory_order_relaxed);
    return std::nullopt;  // the next step writes zeroes
  }
  return io_status_from_errno(errno);
}

}  // namespace

IoStatus io_status_from_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: return IoStatus::kNoSpace;
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOTTY: return IoStatus::kUnsupported;
    case ENODEV:
    case ENXIO:
    case ESTALE: return IoStatus::kGone;
    default: return IoStatus::kIoError;
  }
}

Result<UniqueFd> open_for_flushes(const RawFile& file) {
  if (file.read_only) return UniqueFd();
  // Not by its name, which may mean another file by now.
  const std::string path = "/proc/self/fd/" + std::to_string(file.fd.get());
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | (file.direct ? O_DIRECT : 0)));
  if (!fd) return fail_errno("opening an image once more, for flushes (" + path + ")", errno);
  return fd;
}

void Progress::skip_finished_buffers() noexcept {
  while (buffer_index() < request_.buffers.size() &&
         request_.buffers[buffer_index()].iov_len == offset_in_buffer()) {
    buffer_index()++;
    offset_in_buffer() = 0;
  }
}

Progress::Piece Progress::next_piece() noexcept {
  skip_finished_buffers();
  const auto rest = request_.buffers.subspan(buffer_index());
  const iovec& first = rest.front();
  const uint64_t start = offset_in_buffer();
  Piece piece{.only = {static_cast<std::byte*>(first.iov_base) + start,
                       std::min(first.iov_len - start, kMaxPieceBytes)},
              .buffers = rest.data(),
              .count = 1,
              .byte_offset = byte_offset()};
  if (start == 0 && piece.only.iov_len == first.iov_len)
    piece.count = static_cast<unsigned>(std::min<size_t>(rest.size(), IOV_MAX));
  return piece;
}

void Progress::advance(uint64_t bytes) noexcept {
  request_.scratch[0] += bytes;
  while (bytes != 0) {
    skip_finished_buffers();
    const uint64_t part =
        std::min(bytes, request_.buffers[buffer_index()].iov_len - offset_in_buffer());
    offset_in_buffer() += part;
    bytes -= part;
  }
}

void Progress::gather(std::span<std::byte> out) noexcept {
  skip_finished_buffers();
  size_t index = buffer_index();
  size_t offset = offset_in_buffer();
  while (!out.empty()) {
    const iovec& buffer = request_.buffers[index];
    const size_t part = std::min(out.size(), buffer.iov_len - offset);
    if (part != 0)
      std::memcpy(out.data(), static_cast<const std::byte*>(buffer.iov_base) + offset, part);
    out = out.subspan(part);
    offset = 0;
    index++;
  }
}

void Progress::scatter(std::span<const std::byte> in) noexcept {
  skip_finished_buffers();
  size_t index = buffer_index();
  size_t offset = offset_in_buffer();
  while (!in.empty()) {
    const iovec& buffer = request_.buffers[index];
    const size_t part = std::min(in.size(), buffer.iov_len - offset);
    if (part != 0) std::memcpy(static_cast<std::byte*>(buffer.iov_base) + offset, in.data(), part);
    in = in.subspan(part);
    offset = 0;
    index++;
  }
}

bool needs_bounce(const RawFile& file, const BlockRequest& request) noexcept {
  if (!file.direct) return false;
  const uintptr_t memory_mask = file.memory_align_bytes - 1;
  const size_t length_mask = file.length_align_bytes - 1;
  return std::any_of(request.buffers.begin(), request.buffers.end(), [&](const iovec& buffer) {
    return buffer.iov_len != 0 &&
           ((reinterpret_cast<uintptr_t>(buffer.iov_base) & memory_mask) != 0 ||
            (buffer.iov_len & length_mask) != 0);
  });
}

ZeroBuffers zero_buffers(uint64_t bytes, iovec& last) noexcept {
  const uint64_t runs = std::min<uint64_t>(bytes / kZeroRunBytes, kZeroRuns);
  if (runs != 0) return {std::span(kZeroList).first(runs), runs * kZeroRunBytes};
  last = {zero_run.data(), bytes};
  return {std::span(&last, 1), bytes};
}

std::optional<int> range_mode(const RawFile& file, Operation operation) noexcept {
  if (operation == Operation::kDiscard) return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (!file.can_zero_range.load(std::memory_order_relaxed)) return std::nullopt;
  return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

std::optional<IoStatus> discard_device_slice(const RawFile& file, BlockRequest& request) noexcept {
  const Progress progress(request);
  const uint64_t slice = std::min(progress.left(), kRangeSliceBytes);
  std::array<uint64_t, 2> range{progress.byte_offset(), slice};
  if (::ioctl(file.fd.get(), BLKDISCARD, range.data()) == 0) return after_slice(request, slice);
  if (errno == EINTR || errno == EAGAIN) return std::nullopt;
  return io_status_from_errno(errno);
}

int transfer_now(int fd, BlockRequest& request, int flags) noexcept {
  Progress progress(request);
  while (progress.left() != 0) {
    const ssize_t moved = transfer_piece(fd, request.operation, progress.next_piece(), flags);
    if (moved > 0) {
      progress.advance(static_cast<uint64_t>(moved));
    } else if (moved == 0) {
      return 0;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

std::optional<IoStatus> blocking_step(RawFile& file, int flush_fd, BlockRequest& request,
                                      std::span<std::byte> bounce) noexcept {
  switch (request.operation) {
    case Operation::kRead:
    case Operation::kWrite: {
      const int error = needs_bounce(file, request) ? transfer_bounced(file, request, bounce)
                                                    : transfer_now(file.fd.get(), request, 0);
      if (error == EAGAIN) return std::nullopt;
      if (error != 0) return io_status_from_errno(error);
      // The image is shorter than it was: somebody else's doing, and the reader must know.
      return Progress(request).left() == 0 ? IoStatus::kOk : IoStatus::kIoError;
    }
    case Operation::kFlush:
      if (file.read_only || ::fdatasync(flush_fd) == 0) return IoStatus::kOk;
      if (errno == EINTR) return std::nullopt;
      return errno == ENOSPC || errno == EDQUOT ? IoStatus::kNoSpace : IoStatus::kIoError;
    case Operation::kDiscard:
    case Operation::kWriteZeroes: return range_step(file, request);
  }
  return IoStatus::kUnsupported;
}

}  // namespace splitring
