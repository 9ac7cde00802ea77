#include "fs/disk_bytes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace splitring {
namespace {

constexpr size_t kMostBlockBytes = 4096;  // Geometry::logical_block_bytes is 512 or 4096
constexpr size_t kInFlight = 32;
// What is large is read in pieces: 1 MiB that is not in the page cache comes at 2 GB/s in four of
// them and at 0.8 GB/s in one (a virtio disk, measured).
constexpr uint64_t kMostPieceBytes = uint64_t{256} << 10;
constexpr uint64_t kLeastPieceBytes = uint64_t{64} << 10;

struct alignas(kMostBlockBytes) Bounce {
  std::array<std::byte, kMostBlockBytes> head;
  std::array<std::byte, kMostBlockBytes> tail;
};

// One request: the block before the first whole one, the whole ones, the block behind them.
struct PieceRead : BlockRequest {
  std::array<iovec, 3> parts{};
  DiskRange range;
  uint64_t skipped = 0;
  uint64_t head_bytes = 0;
  uint64_t tail_bytes = 0;
  Bounce* bounce = nullptr;
  std::unique_ptr<Bounce> own_bounce;
  bool busy = false;

  void prepare(const DiskRange& wanted, uint64_t block);
  void copy_edges() const {
    if (head_bytes != 0) std::memcpy(range.out.data(), bounce->head.data() + skipped, head_bytes);
    if (tail_bytes != 0)
      std::memcpy(range.out.last(tail_bytes).data(), bounce->tail.data(), tail_bytes);
  }
};

void PieceRead::prepare(const DiskRange& wanted, uint64_t block) {
  range = wanted;
  skipped = range.offset % block;
  head_bytes = skipped == 0 ? 0 : std::min(block - skipped, range.out.size());
  const uint64_t middle_bytes = (range.out.size() - head_bytes) / block * block;
  tail_bytes = range.out.size() - head_bytes - middle_bytes;
  if (bounce == nullptr && head_bytes + tail_bytes != 0) {
    own_bounce = std::make_unique_for_overwrite<Bounce>();
    bounce = own_bounce.get();
  }
  size_t count = 0;
  if (head_bytes != 0) parts[count++] = {bounce->head.data(), block};
  if (middle_bytes != 0) parts[count++] = {range.out.data() + head_bytes, middle_bytes};
  if (tail_bytes != 0) parts[count++] = {bounce->tail.data(), block};
  first = Sectors::from_bytes(range.offset - skipped);
  buffers = std::span(parts.data(), count);
  complete = [](BlockRequest& request) noexcept { static_cast<PieceRead&>(request).busy = false; };
  busy = true;
}

// Cuts ranges into pieces that begin and end with a block, but for a range's own edges.
class Pieces {
 public:
  Pieces(const Geometry& disk, std::span<const DiskRange> ranges)
      : block_(disk.logical_block_bytes),
        piece_bytes_(std::clamp<uint64_t>(disk.largest_request_bytes / block_ * block_,
                                          kLeastPieceBytes, kMostPieceBytes)),
        ranges_(ranges) {}

  [[nodiscard]] std::optional<DiskRange> next() {
    while (!ranges_.empty() && done_ == ranges_.front().out.size()) {
      ranges_ = ranges_.subspan(1);
      done_ = 0;
    }
    if (ranges_.empty()) return {};
    const DiskRange& range = ranges_.front();
    const uint64_t begin = range.offset + done_;
    const uint64_t part =
        std::min(piece_bytes_ - begin % block_, uint64_t{range.out.size() - done_});
    const DiskRange piece{begin, range.out.subspan(done_, part)};
    done_ += part;
    return piece;
  }
  [[nodiscard]] size_t at_most() const {
    size_t count = 0;
    for (const DiskRange& range : ranges_) count += range.out.size() / piece_bytes_ + 2;
    return count;
  }

 private:
  uint64_t block_;
  uint64_t piece_bytes_;  // a multiple of the block
  std::span<const DiskRange> ranges_;
  uint64_t done_ = 0;  // of the first range
};

// Reads pieces with so many requests as there are slots. After a failure, no others are begun.
Result<> read_pieces(BlockQueue& lane, Pieces& pieces, std::span<PieceRead> slots) {
  const uint64_t block = lane.geometry().logical_block_bytes;
  Result<> outcome;
  const auto land = [&](PieceRead& slot) {
    while (slot.busy) lane.wait();
    const uint64_t bytes = slot.range.out.size();
    if (bytes != 0 && slot.status == IoStatus::kOk)
      slot.copy_edges();
    else if (bytes != 0 && outcome)
      outcome = fail(errc_from(slot.status),
                     "read of " + std::to_string(bytes) + " bytes at byte " +
                         std::to_string(slot.range.offset) + ": " + to_string(slot.status));
    slot.range = {};
  };
  for (size_t turn = 0; outcome; turn++) {
    PieceRead& slot = slots[turn % slots.size()];
    land(slot);
    const auto piece = outcome ? pieces.next() : std::nullopt;
    if (!piece) break;
    slot.prepare(*piece, block);
    lane.submit(slot);
  }
  for (PieceRead& slot : slots) land(slot);
  return outcome;
}

}  // namespace

Result<> read_disk_ranges(BlockQueue& lane, std::span<const DiskRange> ranges) {
  const Geometry disk = lane.geometry();
  for (const DiskRange& range : ranges)
    if (!in_range(range.offset, range.out.size(), disk.capacity.bytes()))
      return fail(Errc::kInvalid, "read of " + std::to_string(range.out.size()) +
                                      " bytes at byte " + std::to_string(range.offset) +
                                      ": beyond the end of the disk");
  Pieces pieces(disk, ranges);
  if (ranges.size() == 1 && ranges.front().out.size() <= kLeastPieceBytes) {
    Bounce bounce;
    PieceRead only;
    only.bounce = &bounce;
    return read_pieces(lane, pieces, {&only, 1});
  }
  std::vector<PieceRead> slots(std::clamp<size_t>(pieces.at_most(), 1, kInFlight));
  return read_pieces(lane, pieces, slots);
}

Result<> read_disk_bytes(BlockQueue& lane, uint64_t offset, std::span<std::byte> out) {
  const DiskRange range{offset, out};
  return read_disk_ranges(lane, {&range, 1});
}

}  // namespace splitring
