// The seam of the house: whatever is a disk implements BlockDevice (image formats, decorators, the
// blkif frontend); whatever uses a disk (the backend, filesystems, stores) sees nothing else.
//
// A BlockDevice says what a disk is and opens lanes (BlockQueue). One thread owns a lane; lanes
// share nothing mutable on the hot path, so a request meets no lock between a ring and an io_uring.
//
// What every implementation promises, tested by one suite (tests/support/device_conformance.h):
//  1. Ranges, alignment, mode and poison are checked once, in BlockQueue::submit, without overflow;
//     do_submit sees only requests that passed.
//  2. A completed write is visible to every read submitted later, on any lane.
//  3. A completed flush makes durable every write that completed, on any lane, before the flush
//     was submitted.
//  4. Requests that overlap and are in flight together are unordered.
//  5. A failed flush poisons the device: every later write, discard and flush, and a flush beside
//     it, fails with kPoisoned until the disk is opened again. Nobody knows which writes are lost.
//  6. A discard may be refused, never wrong: discarded sectors read as zeroes or as they were.
//  7. Every submitted request completes exactly once, within poll(), with a status.
//  8. A read-only device holds a read-only descriptor below.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/spin_wait.h"
#include "base/units.h"

namespace splitring {

enum class IoStatus : uint8_t {
  kOk,
  kIoError,      // the medium failed
  kNoSpace,      // the medium is full
  kUnsupported,  // this device cannot do it; nothing happened
  kOutOfRange,   // beyond the end of the disk
  kMisaligned,   // not a multiple of the logical block size, or no bytes at all
  kReadOnly,     // a change of a read-only disk
  kPoisoned,     // an earlier flush failed
  kGone,         // the disk was taken away, or its other end broke the protocol
};

const char* to_string(IoStatus status);
Errc errc_from(IoStatus status);

enum class Operation : uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };
inline constexpr size_t kOperationCount = 5;

const char* to_string(Operation operation);
[[nodiscard]] constexpr bool changes_data(Operation operation) {
  return operation == Operation::kWrite || operation == Operation::kDiscard ||
         operation == Operation::kWriteZeroes;
}

struct Geometry {
  Sectors capacity;
  uint32_t logical_block_bytes = kSectorSize;   // 512 or 4096: unit of every request
  uint32_t physical_block_bytes = kSectorSize;  // a power of two; unit that writes best
  bool read_only = false;
  bool needs_flush = true;                    // false: a completed write is as durable as it gets
  uint32_t discard_granularity_bytes = 0;     // 0: discard is not offered
  uint32_t largest_request_bytes = 1U << 20;  // larger ones work, but cost a split
};

// One request. The caller owns it and its buffers, from submit() until `complete` has been called;
// nothing is allocated for it. Derive from it to carry more.
struct BlockRequest {
  using Complete = void (*)(BlockRequest& request) noexcept;

  // Set by the caller, not changed by the queue.
  Operation operation = Operation::kRead;
  Sectors first;
  Sectors length;                  // of a discard or write-zeroes; else the buffers say
  std::span<const iovec> buffers;  // of a read or write: each length a multiple of 512 bytes
                                   // and their sum of the logical block size
  Complete complete = nullptr;     // runs within poll(); may submit again
  // Set before `complete` runs.
  IoStatus status = IoStatus::kOk;

  // The queue's while in flight.
  BlockRequest* next = nullptr;
  uint64_t byte_count = 0;  // of a read, write, discard or write-zeroes, summed by submit()
  std::array<uint64_t, 4> scratch{};
};

// A first-in-first-out list threaded through BlockRequest::next.
class RequestList {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] BlockRequest* front() const { return head_; }
  void push(BlockRequest& request) {
    request.next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = &request;
    tail_ = &request;
  }
  // Precondition: not empty.
  BlockRequest& pop() {
    BlockRequest& request = *head_;
    head_ = request.next;
    return request;
  }

 private:
  BlockRequest* head_ = nullptr;
  BlockRequest* tail_ = nullptr;
};

class BlockQueue;

// Memory from a lane's own pool: page-aligned, and free of copies on that lane (granted pages in a
// frontend, registered buffers in an io_uring). Move-only; returns to the pool on destruction,
// which must happen on the lane's thread, before the lane goes.
class IoBuffer {
 public:
  IoBuffer() = default;
  IoBuffer(BlockQueue& queue, std::span<std::byte> bytes) : queue_(&queue), bytes_(bytes) {}
  IoBuffer(IoBuffer&& other) noexcept;
  IoBuffer& operator=(IoBuffer&& other) noexcept;
  IoBuffer(const IoBuffer&) = delete;
  IoBuffer& operator=(const IoBuffer&) = delete;
  ~IoBuffer() { reset(); }

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  explicit operator bool() const { return queue_ != nullptr; }
  void reset() noexcept;

 private:
  BlockQueue* queue_ = nullptr;
  std::span<std::byte> bytes_;
};

// What all lanes of a device share. Written rarely (resize, poison), read on every request.
struct DeviceState {
  explicit DeviceState(const Geometry& geometry)
      : fixed(geometry), capacity_sectors(geometry.capacity.count) {}
  const Geometry fixed;  // all but its capacity
  std::atomic<uint64_t> capacity_sectors;
  std::atomic<bool> poisoned{false};
};

// A lane. Not thread-safe: one thread owns it.
//
// The loop of an owner:  submit()... kick();  while (poll() != 0) ...;
//                        if (prepare_to_wait()) <sleep until fd() is readable>;  poll() ...
class BlockQueue {
 public:
  // Precondition: nothing in flight, and every IoBuffer returned.
  virtual ~BlockQueue() = default;
  BlockQueue(const BlockQueue&) = delete;
  BlockQueue& operator=(const BlockQueue&) = delete;

  // Queues a request; it may start at once or at the next kick(). A request that fails the checks
  // completes with the reason in the next poll(): `complete` never runs within submit().
  void submit(BlockRequest& request) noexcept;
  // Starts everything queued, as one batch.
  void kick() noexcept { do_kick(); }
  // Runs the completions that are there and returns their number. Also kicks what they submit.
  size_t poll() noexcept;
  // True: nothing is there to poll, and fd() becomes readable when something is. False: poll again.
  // Call it after a poll() that returned 0 and before sleeping on fd().
  [[nodiscard]] bool prepare_to_wait() noexcept {
    return rejected_.empty() && do_prepare_to_wait();
  }
  // Poll it; do not read it.
  [[nodiscard]] virtual int fd() const = 0;
  [[nodiscard]] size_t in_flight() const { return in_flight_; }

  // Spins if that has been paying (polling mode of QueueOptions), then sleeps until something
  // completes; runs the completions. At once 0 if nothing is in flight.
  size_t wait() noexcept;
  // Waits until nothing is in flight.
  void drain() noexcept {
    while (in_flight_ != 0) wait();
  }

  // kLimit when the pool has no such run left: any other memory works too, at the price of a copy.
  Result<IoBuffer> allocate(size_t bytes);

  // Blocking: many requests in flight inside one call, completions of other requests run meanwhile.
  // The error says what and where ("read of 4096 bytes at sector 8: beyond the end of the disk").
  Result<> read(Sectors first, std::span<std::byte> out);
  Result<> write(Sectors first, std::span<const std::byte> in);
  Result<> flush();
  // A write that is durable when this returns: as write() and flush(), or for less where the disk
  // has something for that. What had been written before may then not be durable yet.
  Result<> write_durably(Sectors first, std::span<const std::byte> in);
  Result<> discard(Sectors first, Sectors length);
  Result<> write_zeroes(Sectors first, Sectors length);

  [[nodiscard]] Geometry geometry() const;

 protected:
  BlockQueue(DeviceState& state, SpinWait spin) : state_(state), spin_(spin) {}

  // Called by the implementation, within do_poll() only, once per request.
  void finish(BlockRequest& request, IoStatus status) noexcept;
  DeviceState& state() { return state_; }

  // The default pool is the heap, page-aligned.
  virtual Result<std::span<std::byte>> do_allocate(size_t bytes);
  virtual void do_release(std::span<std::byte> bytes) noexcept;

  // Sleeps until there may be something to poll. Called after a poll() that returned 0, with
  // requests in flight; may return early, must not sleep over anything that is there. By default
  // do_prepare_to_wait() and poll(2); override it where one system call can sleep and collect.
  virtual void do_sleep() noexcept;

  // A blocking call's only request, with nothing else in flight: a lane where that is faster may do
  // it at once, on the caller's thread. `durably`: a write, and it must be durable then. Nothing:
  // nothing was done, submit it. The request has passed the checks.
  virtual std::optional<IoStatus> do_now(BlockRequest& /*request*/, bool /*durably*/) noexcept {
    return std::nullopt;
  }

  // For a lane that stands upon another: its pool and its way to sleep.
  static Result<std::span<std::byte>> allocate_from(BlockQueue& below, size_t bytes) {
    return below.do_allocate(bytes);
  }
  static void release_to(BlockQueue& below, std::span<std::byte> bytes) noexcept {
    below.do_release(bytes);
  }
  static void sleep_on(BlockQueue& below) noexcept { below.do_sleep(); }

 private:
  friend class IoBuffer;

  virtual void do_submit(BlockRequest& request) noexcept = 0;
  virtual void do_kick() noexcept = 0;
  virtual void do_poll() noexcept = 0;
  virtual bool do_prepare_to_wait() noexcept = 0;

  [[nodiscard]] IoStatus check(BlockRequest& request) const noexcept;
  Result<> run(Operation operation, Sectors first, std::span<std::byte> bytes, Sectors length);
  std::optional<IoStatus> run_now(BlockRequest& request, bool durably) noexcept;
  void poison_after(Operation operation, IoStatus status) noexcept;

  DeviceState& state_;
  RequestList rejected_;  // failed the checks; completed by the next poll()
  size_t in_flight_ = 0;
  size_t finished_ = 0;  // since construction, wrapping: poll() returns the difference
  SpinWait spin_;
};

struct QueueOptions {
  uint32_t depth = 128;  // requests that should be able to be in flight; more wait their turn
  SpinWait::Mode polling = SpinWait::Mode::kAuto;
};

// Thread-safe.
class BlockDevice {
 public:
  // Precondition: its lanes are gone.
  virtual ~BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;

  [[nodiscard]] Geometry geometry() const;
  [[nodiscard]] bool poisoned() const { return state_.poisoned.load(std::memory_order_relaxed); }
  // For messages: "raw:/srv/a.img".
  [[nodiscard]] virtual std::string name() const = 0;

  // The device must outlive the lane. Errors: kLimit when the device has no more lanes.
  virtual Result<std::unique_ptr<BlockQueue>> open_queue(const QueueOptions& options) = 0;

  // Looks at the size of what lies below again (a file that was truncated or extended, say) and
  // returns the capacity that holds from now on.
  virtual Result<Sectors> refresh_capacity() { return geometry().capacity; }

 protected:
  explicit BlockDevice(const Geometry& geometry) : state_(geometry) {}
  void set_capacity(Sectors capacity) {
    state_.capacity_sectors.store(capacity.count, std::memory_order_relaxed);
  }
  DeviceState& state() { return state_; }

 private:
  DeviceState state_;
};

}  // namespace splitring
