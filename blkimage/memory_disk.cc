#include "blkimage/memory_disk.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "blkimage/synchronous_queue.h"

namespace splitring {
namespace {

// A longer range is zeroed in slices of this, so that it does not hold up its lane.
constexpr uint64_t kZeroSliceBytes = 32U << 20;

// Whole pages are given back to the kernel, which hands out zeroes; the edges are cleared.
void zero(std::span<std::byte> range) noexcept {
  const auto start = reinterpret_cast<uintptr_t>(range.data());
  const auto edge = static_cast<size_t>(round_up(start, kPageSize) - start);
  if (range.size() >= edge + kPageSize) {
    const auto pages = range.subspan(edge, (range.size() - edge) / kPageSize * kPageSize);
    if (::madvise(pages.data(), pages.size(), MADV_DONTNEED) == 0) {
      std::memset(range.data(), 0, edge);
      range = range.subspan(edge + pages.size());
    }
  }
  std::memset(range.data(), 0, range.size());
}

class MemoryQueue final : public SynchronousQueue {
 public:
  static Result<std::unique_ptr<BlockQueue>> create(DeviceState& state, const QueueOptions& options,
                                                    std::span<std::byte> bytes) {
    UniqueFd never = TRY(make_never_readable());
    return std::unique_ptr<BlockQueue>(new MemoryQueue(state, options, std::move(never), bytes));
  }

 private:
  MemoryQueue(DeviceState& state, const QueueOptions& options, UniqueFd never_readable,
              std::span<std::byte> bytes)
      : SynchronousQueue(state, options, std::move(never_readable)), bytes_(bytes) {}

  std::optional<IoStatus> do_step(BlockRequest& request) noexcept override {
    switch (request.operation) {
      case Operation::kRead:
      case Operation::kWrite: copy(request); return IoStatus::kOk;
      case Operation::kFlush: return IoStatus::kOk;
      case Operation::kDiscard:
      case Operation::kWriteZeroes: return zero_slice(request);
    }
    return IoStatus::kUnsupported;
  }

  void copy(const BlockRequest& request) noexcept {
    std::byte* at = bytes_.data() + request.first.bytes();
    for (const iovec& buffer : request.buffers) {
      if (buffer.iov_len == 0) continue;
      if (request.operation == Operation::kRead)
        std::memcpy(buffer.iov_base, at, buffer.iov_len);
      else
        std::memcpy(at, buffer.iov_base, buffer.iov_len);
      at += buffer.iov_len;
    }
  }

  std::optional<IoStatus> zero_slice(BlockRequest& request) noexcept {
    uint64_t& done = request.scratch[0];
    const uint64_t part = std::min(kZeroSliceBytes, request.byte_count - done);
    zero(bytes_.subspan(request.first.bytes() + done, part));
    done += part;
    if (done < request.byte_count) return std::nullopt;
    return IoStatus::kOk;
  }

  std::span<std::byte> bytes_;
};

}  // namespace

Result<std::unique_ptr<MemoryDisk>> MemoryDisk::create(Sectors capacity,
                                                       const MemoryOptions& options) {
  if (options.logical_block_bytes != 512 && options.logical_block_bytes != 4096)
    return fail(Errc::kInvalid, "memory disk: the block size is 512 or 4096 bytes");
  // Far beyond any machine's memory, and far from overflow.
  constexpr Sectors kMaxCapacity{(uint64_t{1} << 46) / kSectorSize};
  if (capacity.count == 0 || capacity > kMaxCapacity)
    return fail(Errc::kInvalid, "memory disk: the size is between one block and 64 TiB");
  if (capacity.bytes() % options.logical_block_bytes != 0)
    return fail(Errc::kInvalid, "memory disk: " + std::to_string(capacity.bytes()) +
                                    " bytes is not a multiple of the block size, " +
                                    std::to_string(options.logical_block_bytes));
  void* memory = ::mmap(nullptr, capacity.bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("memory disk", errno);
  const Geometry geometry{.capacity = capacity,
                          .logical_block_bytes = options.logical_block_bytes,
                          .physical_block_bytes = kPageSize,
                          .needs_flush = false,
                          .discard_granularity_bytes = kPageSize};
  return std::unique_ptr<MemoryDisk>(
      new MemoryDisk(geometry, std::span(static_cast<std::byte*>(memory), capacity.bytes())));
}

MemoryDisk::~MemoryDisk() { ::munmap(bytes_.data(), bytes_.size()); }

std::string MemoryDisk::name() const { return "mem:" + std::to_string(bytes_.size()); }

Result<std::unique_ptr<BlockQueue>> MemoryDisk::open_queue(const QueueOptions& options) {
  return MemoryQueue::create(state(), options, bytes_);
}

}  // namespace splitring
