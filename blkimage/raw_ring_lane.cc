// A raw image's lane over an io_uring of its own.
//
// A request that was submitted is in exactly one place: queued_ (not started), the ring (active_
// counts those), bounce_waiting_ (started, but no bounce memory is free), flushes_ (served by the
// one flush that is on the ring, their first), flush_waiting_ (by the next one), slices_ (device
// discards, done by system calls in poll()), or done_ (complete, not yet told).
//
// What the page cache can answer at once is not worth the ring when it comes alone: then preadv2
// with RWF_NOWAIT takes 1.6 us and the ring 2.1 us (4 KiB, measured); in a batch of 32 the ring
// takes 1.3 us each. Buffered writes always try at once: most file systems hand them to a worker
// thread otherwise, 130 us each.
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <optional>
#include <utility>

#include "blkimage/page_pool.h"
#include "blkimage/raw_lanes.h"

namespace splitring {
namespace {

constexpr uint32_t kMaxDepth = 4096;
constexpr size_t kPoolBytes = 4U << 20;
constexpr size_t kBounceSlots = 8;
// A larger buffered write may wait for the medium; a worker thread may do that better.
constexpr uint64_t kLargestWriteAtOnceBytes = 256U << 10;
// One kick() does at most about this much at once: what is left over follows the next answers.
constexpr uint64_t kAtOnceBytesPerKick = 1U << 20;
constexpr unsigned kReapBatch = 32;
// What goes past the page cache is handed over in small lots. Of more than two entries the kernel
// makes one batch for the device, all of it then comes back at once, and device and program wait
// for each other in turn: 32 in flight gave 0.6 times as many reads (a virtio disk, measured).
constexpr uint32_t kDirectLot = 2;

// Indices of the registered files.
constexpr int kDataFile = 0;
constexpr int kFlushFile = 1;

constexpr uint64_t kAskedForRange = 1;
constexpr uint64_t kAskedForWrite = 2;

// One owner thread, and its completion work done when it asks for it; since Linux 6.1. The ring
// starts disabled because its owner is the thread that enables it, not the one that made it.
constexpr unsigned kBestFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED;
constexpr unsigned kPlainFlags = IORING_SETUP_R_DISABLED;

class RawRingLane final : public BlockQueue {
 public:
  RawRingLane(RawFile& file, DeviceState& device, const QueueOptions& options, uint32_t depth)
      : BlockQueue(device, SpinWait(options.polling)), file_(file), depth_(depth) {}
  ~RawRingLane() override {
    if (ring_made_) io_uring_queue_exit(&ring_);
  }

  // 0 or an error number.
  int set_up(UniqueFd flush_fd) noexcept;
  Result<> set_up_bounce();

  [[nodiscard]] int fd() const override { return event_fd_.get(); }

 private:
  void do_submit(BlockRequest& request) noexcept override;
  void do_kick() noexcept override;
  void do_poll() noexcept override;
  bool do_prepare_to_wait() noexcept override;
  void do_sleep() noexcept override;
  std::optional<IoStatus> do_now(BlockRequest& request, bool durably) noexcept override;
  [[nodiscard]] bool nothing_to_poll() const noexcept;
  void want_event(bool wanted) noexcept;
  Result<std::span<std::byte>> do_allocate(size_t bytes) override;
  void do_release(std::span<std::byte> bytes) noexcept override { pool_->release(bytes); }

  void start(BlockRequest& request, bool alone) noexcept;
  void start_flush(BlockRequest& request) noexcept;
  void begin_flush() noexcept;
  void end_flush(int result) noexcept;
  bool try_at_once(BlockRequest& request, bool alone) noexcept;
  void put_on_ring(BlockRequest& request) noexcept;
  void prepare(BlockRequest& request, io_uring_sqe& entry) noexcept;
  void prepare_transfer(BlockRequest& request, io_uring_sqe& entry) noexcept;
  void prepare_range(BlockRequest& request, io_uring_sqe& entry) noexcept;
  void hand_over() noexcept;
  void reap(BlockRequest& request, int result) noexcept;
  void reap_range(BlockRequest& request, int result) noexcept;
  void leave_ring(BlockRequest& request, IoStatus status) noexcept;
  void done(BlockRequest& request, IoStatus status) noexcept {
    request.status = status;
    done_.push(request);
  }

  // Where the bounce memory of a request stands while it is on the ring; null if it has none.
  static std::byte* bounce_of(const BlockRequest& request) {
    return reinterpret_cast<std::byte*>(request.scratch[3]);
  }

  RawFile& file_;
  UniqueFd flush_fd_;
  const uint32_t depth_;
  io_uring ring_{};
  bool ring_made_ = false;
  // Becomes readable when the kernel has news and `event_wanted_`. The ring's own descriptor does
  // not: under DEFER_TASKRUN Linux 6.18 leaves a sleeper in poll(2) asleep.
  UniqueFd event_fd_;
  bool event_wanted_ = false;
  bool enabled_ = false;
  bool file_registered_ = false;
  bool pool_registered_ = false;
  bool nowait_reads_ = true;   // until the file system says that it has none
  bool nowait_writes_ = true;  // the same
  RequestList queued_, bounce_waiting_, flushes_, flush_waiting_, slices_, done_;
  uint32_t active_ = 0;         // entries on the ring, not reaped
  uint32_t prepared_ = 0;       // of those, not yet handed to the kernel
  uint64_t at_once_bytes_ = 0;  // since this kick() began; if any, done_ holds their requests
  std::optional<PagePool> pool_;
  std::optional<PagePool> bounce_;
  std::array<std::byte*, kBounceSlots> free_bounce_{};
  size_t free_bounce_count_ = 0;
};

int RawRingLane::set_up(UniqueFd flush_fd) noexcept {
  flush_fd_ = std::move(flush_fd);
  int error = -EINVAL;
  for (const unsigned flags : {kBestFlags, kPlainFlags}) {
    io_uring_params parameters{};
    parameters.flags = flags;
    error = io_uring_queue_init_params(depth_, &ring_, &parameters);
    if (error != -EINVAL) break;
  }
  if (error != 0) return -error;
  ring_made_ = true;
  const std::array<int, 2> files{file_.fd.get(), flush_fd_.get()};
  file_registered_ = io_uring_register_files(&ring_, files.data(), files.size()) == 0;
  event_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_fd_) return errno;
  io_uring_cq_eventfd_toggle(&ring_, false);
  return -io_uring_register_eventfd(&ring_, event_fd_.get());
}

Result<> RawRingLane::set_up_bounce() {
  if (!file_.direct) return {};
  bounce_ = TRY(PagePool::create(kBounceSlots * kBounceBytes));
  for (std::byte*& slot : free_bounce_)
    slot = bounce_->memory().data() + kBounceBytes * free_bounce_count_++;
  return {};
}

void RawRingLane::do_submit(BlockRequest& request) noexcept {
  request.scratch = {};
  queued_.push(request);
}

void RawRingLane::do_kick() noexcept {
  const bool alone = active_ == 0 && !queued_.empty() && queued_.front()->next == nullptr;
  at_once_bytes_ = 0;
  while (!queued_.empty() && active_ < depth_ && at_once_bytes_ < kAtOnceBytesPerKick)
    start(queued_.pop(), alone);
  hand_over();
}

void RawRingLane::start(BlockRequest& request, bool alone) noexcept {
  if (request.operation == Operation::kFlush) return start_flush(request);
  if (request.operation == Operation::kDiscard && file_.block_device) return slices_.push(request);
  if (try_at_once(request, alone)) return;
  if ((request.operation == Operation::kRead || request.operation == Operation::kWrite) &&
      needs_bounce(file_, request)) {
    if (free_bounce_count_ == 0) return bounce_waiting_.push(request);
    request.scratch[3] = reinterpret_cast<uint64_t>(free_bounce_[--free_bounce_count_]);
  }
  put_on_ring(request);
}

// One at a time: of two that run side by side only one is told of a write-back that failed.
void RawRingLane::start_flush(BlockRequest& request) noexcept {
  if (file_.read_only) return done(request, IoStatus::kOk);
  flush_waiting_.push(request);
  if (flushes_.empty()) begin_flush();
}

void RawRingLane::begin_flush() noexcept {
  flushes_ = std::exchange(flush_waiting_, {});
  put_on_ring(*flushes_.front());
}

// Those that waited may be of writes that completed after this one began.
void RawRingLane::end_flush(int result) noexcept {
  const IoStatus status = result == 0                              ? IoStatus::kOk
                          : result == -ENOSPC || result == -EDQUOT ? IoStatus::kNoSpace
                                                                   : IoStatus::kIoError;
  RequestList served = std::exchange(flushes_, {});
  while (!served.empty()) finish(served.pop(), status);
  if (flushes_.empty() && !flush_waiting_.empty()) begin_flush();
}

// True if the page cache took or gave everything. Whatever stopped it otherwise, the ring continues
// from there and finds out what it means.
bool RawRingLane::try_at_once(BlockRequest& request, bool alone) noexcept {
  if (file_.direct) return false;
  if (request.operation == Operation::kRead) {
    if (!alone || !nowait_reads_) return false;
    nowait_reads_ = transfer_now(file_.fd.get(), request, RWF_NOWAIT) != EOPNOTSUPP;
  } else if (request.operation == Operation::kWrite &&
             request.byte_count <= kLargestWriteAtOnceBytes) {
    const int fd = file_.fd.get();
    if (nowait_writes_) nowait_writes_ = transfer_now(fd, request, RWF_NOWAIT) != EOPNOTSUPP;
    if (!nowait_writes_) transfer_now(fd, request, 0);
  } else {
    return false;
  }
  if (Progress(request).left() != 0) return false;
  at_once_bytes_ += request.byte_count;
  done(request, IoStatus::kOk);
  return true;
}

void RawRingLane::put_on_ring(BlockRequest& request) noexcept {
  // Never full: it has depth_ entries, and a request holds at most one of them.
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  assert(entry != nullptr);
  prepare(request, *entry);
  io_uring_sqe_set_data(entry, &request);
  if (file_registered_) io_uring_sqe_set_flags(entry, entry->flags | IOSQE_FIXED_FILE);
  active_++;
  prepared_++;
  if (file_.direct && prepared_ >= kDirectLot) hand_over();
}

void RawRingLane::prepare(BlockRequest& request, io_uring_sqe& entry) noexcept {
  switch (request.operation) {
    case Operation::kRead:
    case Operation::kWrite: return prepare_transfer(request, entry);
    case Operation::kFlush:
      return io_uring_prep_fsync(&entry, file_registered_ ? kFlushFile : flush_fd_.get(),
                                 IORING_FSYNC_DATASYNC);
    case Operation::kDiscard:
    case Operation::kWriteZeroes: return prepare_range(request, entry);
  }
}

void RawRingLane::prepare_transfer(BlockRequest& request, io_uring_sqe& entry) noexcept {
  const int fd = file_registered_ ? kDataFile : file_.fd.get();
  Progress progress(request);
  Progress::Piece piece;
  if (std::byte* bounce = bounce_of(request)) {
    const std::span part(bounce, std::min<uint64_t>(progress.left(), kBounceBytes));
    if (request.operation == Operation::kWrite) progress.gather(part);
    piece = {.only = {part.data(), part.size()},
             .buffers = nullptr,
             .count = 1,
             .byte_offset = progress.byte_offset()};
  } else {
    piece = progress.next_piece();
  }
  const bool reading = request.operation == Operation::kRead;
  if (piece.count != 1) {
    if (reading)
      io_uring_prep_readv(&entry, fd, piece.buffers, piece.count, piece.byte_offset);
    else
      io_uring_prep_writev(&entry, fd, piece.buffers, piece.count, piece.byte_offset);
    return;
  }
  const auto length = static_cast<unsigned>(piece.only.iov_len);
  const bool registered = pool_registered_ && pool_->contains(piece.only.iov_base);
  if (reading && registered)
    io_uring_prep_read_fixed(&entry, fd, piece.only.iov_base, length, piece.byte_offset, 0);
  else if (reading)
    io_uring_prep_read(&entry, fd, piece.only.iov_base, length, piece.byte_offset);
  else if (registered)
    io_uring_prep_write_fixed(&entry, fd, piece.only.iov_base, length, piece.byte_offset, 0);
  else
    io_uring_prep_write(&entry, fd, piece.only.iov_base, length, piece.byte_offset);
}

// scratch[1] tells reap_range() what was asked for.
void RawRingLane::prepare_range(BlockRequest& request, io_uring_sqe& entry) noexcept {
  const int fd = file_registered_ ? kDataFile : file_.fd.get();
  const Progress progress(request);
  const auto mode = range_mode(file_, request.operation);
  request.scratch[1] = mode ? kAskedForRange : kAskedForWrite;
  if (mode) {
    const uint64_t slice = std::min(progress.left(), kRangeSliceBytes);
    return io_uring_prep_fallocate(&entry, fd, *mode, static_cast<off_t>(progress.byte_offset()),
                                   static_cast<off_t>(slice));
  }
  // A lone buffer is passed as such: a list would have to live until the kernel has read it.
  iovec last;
  const ZeroBuffers zeroes = zero_buffers(progress.left(), last);
  const iovec& first = zeroes.buffers.front();
  if (zeroes.buffers.size() == 1)
    io_uring_prep_write(&entry, fd, first.iov_base, static_cast<unsigned>(first.iov_len),
                        progress.byte_offset());
  else
    io_uring_prep_writev(&entry, fd, zeroes.buffers.data(),
                         static_cast<unsigned>(zeroes.buffers.size()), progress.byte_offset());
}

// Gives the kernel what was prepared. What it does not take now (it is short of memory), the next
// poll() offers again.
void RawRingLane::hand_over() noexcept {
  if (prepared_ == 0) return;
  if (!enabled_) {
    // liburing 2.3 declares a function for this, but its shared library does not export it.
    const long result =
        ::syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    assert(result == 0);
    static_cast<void>(result);
    enabled_ = true;
  }
  const int taken = io_uring_submit(&ring_);
  assert(taken != -EEXIST && "a lane belongs to the thread that first kicked it");
  if (taken > 0) prepared_ -= static_cast<uint32_t>(taken);
}

void RawRingLane::do_poll() noexcept {
  struct Reaped {
    BlockRequest* request;
    int result;
  };
  std::array<io_uring_cqe*, kReapBatch> entries;
  std::array<Reaped, kReapBatch> reaped;
  want_event(false);
  hand_over();
  if (active_ != 0) {
    const unsigned count = io_uring_peek_batch_cqe(&ring_, entries.data(), kReapBatch);
    for (unsigned i = 0; i < count; i++)
      reaped[i] = {static_cast<BlockRequest*>(io_uring_cqe_get_data(entries[i])), entries[i]->res};
    // Given back before any completion runs: that may submit and kick again.
    io_uring_cq_advance(&ring_, count);
    for (unsigned i = 0; i < count; i++) reap(*reaped[i].request, reaped[i].result);
    hand_over();
  }
  if (!slices_.empty()) {
    BlockRequest& request = slices_.pop();
    if (const auto status = discard_device_slice(file_, request))
      done(request, *status);
    else
      slices_.push(request);
  }
  // Only those that are there now: their completions may add others without end.
  RequestList told = std::exchange(done_, {});
  while (!told.empty()) {
    BlockRequest& request = told.pop();
    finish(request, request.status);
  }
}

void RawRingLane::reap(BlockRequest& request, int result) noexcept {
  active_--;
  if (result == -EINTR || result == -EAGAIN) return put_on_ring(request);
  switch (request.operation) {
    case Operation::kFlush: return end_flush(result);
    case Operation::kDiscard:
    case Operation::kWriteZeroes: return reap_range(request, result);
    case Operation::kRead:
    case Operation::kWrite: break;
  }
  if (result < 0) return leave_ring(request, io_status_from_errno(-result));
  // The image is shorter than it was: somebody else's doing, and the reader must know.
  if (result == 0) return leave_ring(request, IoStatus::kIoError);
  Progress progress(request);
  const auto moved = static_cast<uint64_t>(result);
  if (std::byte* bounce = bounce_of(request); bounce && request.operation == Operation::kRead)
    progress.scatter(std::span(bounce, moved));
  progress.advance(moved);
  if (progress.left() != 0) return put_on_ring(request);
  leave_ring(request, IoStatus::kOk);
}

void RawRingLane::reap_range(BlockRequest& request, int result) noexcept {
  const bool asked_for_range = request.scratch[1] == kAskedForRange;
  if (result == -EOPNOTSUPP && request.operation == Operation::kWriteZeroes && asked_for_range) {
    file_.can_zero_range.store(false, std::memory_order_relaxed);
    return put_on_ring(request);
  }
  if (result < 0) return leave_ring(request, io_status_from_errno(-result));
  if (result == 0 && !asked_for_range) return leave_ring(request, IoStatus::kIoError);
  const Progress progress(request);
  request.scratch[0] +=
      asked_for_range ? std::min(progress.left(), kRangeSliceBytes) : static_cast<uint64_t>(result);
  if (progress.left() != 0) return put_on_ring(request);
  leave_ring(request, IoStatus::kOk);
}

void RawRingLane::leave_ring(BlockRequest& request, IoStatus status) noexcept {
  if (std::byte* bounce = bounce_of(request)) {
    if (bounce_waiting_.empty()) {
      free_bounce_[free_bounce_count_++] = bounce;
    } else {
      BlockRequest& next = bounce_waiting_.pop();
      next.scratch[3] = reinterpret_cast<uint64_t>(bounce);
      put_on_ring(next);
    }
  }
  finish(request, status);
}

bool RawRingLane::nothing_to_poll() const noexcept {
  if (!done_.empty() || !slices_.empty() || prepared_ != 0) return false;
  const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
  return io_uring_cq_ready(&ring_) == 0 &&
         (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0;
}

bool RawRingLane::do_prepare_to_wait() noexcept {
  if (!nothing_to_poll()) return false;
  want_event(true);
  // What came before the kernel saw that is found by looking once more; what comes later signals.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (nothing_to_poll()) return true;
  want_event(false);
  return false;
}

void RawRingLane::want_event(bool wanted) noexcept {
  if (wanted == event_wanted_) return;
  event_wanted_ = wanted;
  io_uring_cq_eventfd_toggle(&ring_, wanted);
  eventfd_t count;
  if (!wanted) static_cast<void>(::eventfd_read(event_fd_.get(), &count));
}

void RawRingLane::do_sleep() noexcept {
  io_uring_cqe* entry = nullptr;
  // An error is an interrupted sleep: wait() looks again.
  if (nothing_to_poll()) io_uring_wait_cqe(&ring_, &entry);
}

// io_uring hands every flush to a worker thread.
std::optional<IoStatus> RawRingLane::do_now(BlockRequest& request, bool durably) noexcept {
  if (request.operation == Operation::kFlush) {
    std::optional<IoStatus> status;
    while (!status) status = blocking_step(file_, flush_fd_.get(), request, {});
    return status;
  }
  if (!durably || request.operation != Operation::kWrite || needs_bounce(file_, request))
    return std::nullopt;
  const int error = transfer_now(flush_fd_.get(), request, RWF_DSYNC);
  if (error == EOPNOTSUPP || error == EINVAL) return std::nullopt;
  if (error != 0) return io_status_from_errno(error);
  return Progress(request).left() == 0 ? IoStatus::kOk : IoStatus::kIoError;
}

Result<std::span<std::byte>> RawRingLane::do_allocate(size_t bytes) {
  if (!pool_) {
    pool_ = TRY(PagePool::create(kPoolBytes));
    // Fails where the limit of locked memory is low; the pool then serves unregistered.
    const iovec whole{pool_->memory().data(), pool_->memory().size()};
    pool_registered_ = io_uring_register_buffers(&ring_, &whole, 1) == 0;
  }
  return pool_->allocate(bytes);
}

}  // namespace

Result<std::unique_ptr<BlockQueue>> open_raw_ring_lane(RawFile& file, DeviceState& state,
                                                       const QueueOptions& options) {
  const uint32_t depth = std::bit_ceil(std::clamp(options.depth, 1U, kMaxDepth));
  auto lane = std::make_unique<RawRingLane>(file, state, options, depth);
  switch (const int error = lane->set_up(TRY(open_for_flushes(file)))) {
    case 0: break;
    case ENOSYS:
    case EPERM:
    case EACCES:
    case ENOMEM: return nullptr;  // ENOMEM: old kernels charge the ring to the locked memory
    default: return fail_errno("io_uring of a lane", error);
  }
  TRY_VOID(lane->set_up_bounce());
  return lane;
}

}  // namespace splitring
