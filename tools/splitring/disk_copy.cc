#include "tools/splitring/disk_copy.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/parse.h"

namespace splitring::tools {
namespace {

constexpr uint32_t kChunks = 16;
constexpr uint32_t kChunkBytes = 1U << 20;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

bool all_zero(const iovec& buffer) {
  const auto* bytes = static_cast<const unsigned char*>(buffer.iov_base);
  // Equal to itself shifted by one byte, and beginning with zero.
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, buffer.iov_len - 1) == 0;
}

// Chunks go round: read from the source, written to the target, read again further on.
//
// Zeroes become holes where that can be had: a discard makes one but promises nothing of what is
// read there, so the target is asked; only if it still has old bytes, zeroes are written.
class DiskCopy {
 public:
  DiskCopy(BlockQueue& from, BlockQueue& to)
      : from_(from),
        to_(to),
        total_bytes_(from.geometry().capacity.bytes()),
        target_discards_(to.geometry().discard_granularity_bytes != 0) {}

  Result<> prepare();
  Result<CopyReport> run(const CopyProgress& progress);

 private:
  enum class Phase : uint8_t { kReading, kWriting, kDiscarding, kLooking, kZeroing };
  struct Chunk : BlockRequest {
    DiskCopy* owner = nullptr;
    Phase phase = Phase::kReading;
    iovec buffer{};
    IoBuffer pooled;
    std::unique_ptr<void, FreeMemory> heap;
  };

  void read_next(Chunk& chunk) noexcept;
  void completed(Chunk& chunk) noexcept;
  void change_target(Chunk& chunk, Phase phase, Operation operation) noexcept;
  void advance(Chunk& chunk) noexcept;
  void done(Chunk& chunk) noexcept;
  void wait();

  BlockQueue& from_;
  BlockQueue& to_;
  const uint64_t total_bytes_;
  uint64_t next_byte_ = 0;
  uint32_t in_flight_ = 0;
  bool target_discards_;
  bool target_takes_zeroes_ = true;
  CopyReport report_;
  // The first failure, without a text yet: nothing is allocated in a completion.
  struct Failure {
    Operation operation;
    Sectors first;
    IoStatus status;
  };
  std::optional<Failure> failure_;
  std::array<Chunk, kChunks> chunks_;
};

Result<> DiskCopy::prepare() {
  for (Chunk& chunk : chunks_) {
    chunk.owner = this;
    chunk.complete = [](BlockRequest& request) noexcept {
      auto& done = static_cast<Chunk&>(request);
      done.owner->completed(done);
    };
    if (auto pooled = from_.allocate(kChunkBytes)) {
      chunk.pooled = std::move(*pooled);
      chunk.buffer.iov_base = chunk.pooled.bytes().data();
    } else {
      chunk.heap.reset(std::aligned_alloc(kPageSize, kChunkBytes));
      if (!chunk.heap) return fail(Errc::kLimit, "not enough memory for the buffers");
      chunk.buffer.iov_base = chunk.heap.get();
    }
    chunk.buffers = {&chunk.buffer, 1};
  }
  return {};
}

void DiskCopy::read_next(Chunk& chunk) noexcept {
  if (failure_ || next_byte_ == total_bytes_) return;
  chunk.phase = Phase::kReading;
  chunk.operation = Operation::kRead;
  chunk.first = Sectors::from_bytes(next_byte_);
  chunk.buffer.iov_len = std::min<uint64_t>(kChunkBytes, total_bytes_ - next_byte_);
  next_byte_ += chunk.buffer.iov_len;
  in_flight_++;
  from_.submit(chunk);
}

void DiskCopy::change_target(Chunk& chunk, Phase phase, Operation operation) noexcept {
  chunk.phase = phase;
  chunk.operation = operation;
  chunk.length = Sectors::from_bytes(chunk.buffer.iov_len);
  in_flight_++;
  to_.submit(chunk);
}

void DiskCopy::completed(Chunk& chunk) noexcept {
  in_flight_--;
  // What a target cannot do is not tried again; what was asked for is done in another way.
  if (chunk.status == IoStatus::kUnsupported && chunk.phase == Phase::kDiscarding) {
    target_discards_ = false;
    return change_target(chunk, Phase::kZeroing, Operation::kWriteZeroes);
  }
  if (chunk.status == IoStatus::kUnsupported && chunk.phase == Phase::kZeroing) {
    target_takes_zeroes_ = false;
    std::memset(chunk.buffer.iov_base, 0, chunk.buffer.iov_len);
    return change_target(chunk, Phase::kWriting, Operation::kWrite);
  }
  if (chunk.status != IoStatus::kOk) {
    if (!failure_) failure_ = {chunk.operation, chunk.first, chunk.status};
    return;
  }
  advance(chunk);
}

void DiskCopy::advance(Chunk& chunk) noexcept {
  switch (chunk.phase) {
    case Phase::kReading:
      if ((target_discards_ || target_takes_zeroes_) && all_zero(chunk.buffer)) {
        if (target_discards_) return change_target(chunk, Phase::kDiscarding, Operation::kDiscard);
        return change_target(chunk, Phase::kZeroing, Operation::kWriteZeroes);
      }
      return change_target(chunk, Phase::kWriting, Operation::kWrite);
    case Phase::kDiscarding: return change_target(chunk, Phase::kLooking, Operation::kRead);
    case Phase::kLooking:
      if (!all_zero(chunk.buffer))
        return change_target(chunk, Phase::kZeroing, Operation::kWriteZeroes);
      report_.zero_bytes += chunk.buffer.iov_len;
      return done(chunk);
    case Phase::kZeroing: report_.zero_bytes += chunk.buffer.iov_len; return done(chunk);
    case Phase::kWriting: return done(chunk);
  }
}

void DiskCopy::done(Chunk& chunk) noexcept {
  report_.bytes += chunk.buffer.iov_len;
  read_next(chunk);
}

void DiskCopy::wait() {
  if (!from_.prepare_to_wait() || !to_.prepare_to_wait()) return;
  std::array<pollfd, 2> pollers{{{from_.fd(), POLLIN, 0}, {to_.fd(), POLLIN, 0}}};
  ::poll(pollers.data(), pollers.size(), -1);
}

Result<CopyReport> DiskCopy::run(const CopyProgress& progress) {
  for (Chunk& chunk : chunks_) read_next(chunk);
  while (in_flight_ != 0) {
    from_.kick();
    to_.kick();
    if (from_.poll() + to_.poll() != 0)
      progress(report_.bytes, total_bytes_);
    else
      wait();
  }
  if (failure_)
    return fail(errc_from(failure_->status),
                std::string(to_string(failure_->operation)) + " at sector " +
                    std::to_string(failure_->first.count) + ": " + to_string(failure_->status));
  TRY_VOID(to_.flush());
  return report_;
}

Result<> check_fit(const Geometry& from, const Geometry& to) {
  if (to.read_only) return fail(Errc::kPermission, "the target is read-only");
  if (to.capacity < from.capacity)
    return fail(Errc::kNoSpace, "the target holds " + format_bytes(to.capacity.bytes()) +
                                    ", the source has " + format_bytes(from.capacity.bytes()));
  if (from.capacity.bytes() % to.logical_block_bytes != 0)
    return fail(Errc::kInvalid, "the source's size is no multiple of the target's blocks of " +
                                    std::to_string(to.logical_block_bytes) + " bytes");
  return {};
}

}  // namespace

Result<CopyReport> copy_disk(BlockDevice& from, BlockDevice& to, const CopyProgress& progress) {
  TRY_VOID(check_fit(from.geometry(), to.geometry()));
  const QueueOptions options{.depth = kChunks};
  const auto source = TRY(from.open_queue(options));
  const auto target = TRY(to.open_queue(options));
  DiskCopy copy(*source, *target);
  TRY_VOID(copy.prepare());
  return copy.run(progress);
}

}  // namespace splitring::tools
