#include "fs/fat/fat_write_behind.h"

#include <algorithm>
#include <cstring>

#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr size_t kMostHeld = size_t{2} << 20;
constexpr size_t kLargeWrite = size_t{256} << 10;  // goes to the disk at once, from where it lies

}  // namespace

bool FatWriteBehind::join(uint64_t offset, std::span<const std::byte> bytes, bool nothing_behind) {
  if (held_.empty() || offset < offset_) return false;
  const uint64_t at = offset - offset_;
  if (at > held_.size() && (!nothing_behind_ || at - held_.size() >= gap_)) return false;
  if (at + bytes.size() > kMostHeld) return false;
  if (at + bytes.size() >= held_.size()) {
    held_.resize(at + bytes.size());
    nothing_behind_ = nothing_behind;
  }
  std::ranges::copy(bytes, held_.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

Result<> FatWriteBehind::write(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes,
                               bool nothing_behind) {
  if (bytes.size() >= kLargeWrite) {
    TRY_VOID(settle(lane, offset, bytes.size()));
    const uint64_t block = lane.geometry().logical_block_bytes;
    const size_t edge = (offset + bytes.size()) % block;
    if (offset % block == 0 && edge != 0 && nothing_behind) {
      TRY_VOID(write_disk_bytes(lane, offset, bytes.first(bytes.size() - edge)));
      return write(lane, offset + bytes.size() - edge, bytes.last(edge), true);
    }
    return write_disk_bytes(lane, offset, bytes);
  }
  if (join(offset, bytes, nothing_behind)) return {};
  TRY_VOID(flush(lane));
  offset_ = offset;
  held_.assign(bytes.begin(), bytes.end());
  nothing_behind_ = nothing_behind;
  return {};
}

Result<> FatWriteBehind::settle(BlockQueue& lane, uint64_t offset, uint64_t bytes) {
  // By whole blocks: writing one that is half held reads the other half.
  const uint64_t block = lane.geometry().logical_block_bytes;
  if (held_.empty() || offset / block * block >= round_up(end(), block) ||
      offset_ / block * block >= round_up(offset + bytes, block))
    return {};
  return flush(lane);
}

Result<> FatWriteBehind::flush(BlockQueue& lane) {
  if (held_.empty()) return {};
  const uint64_t block = lane.geometry().logical_block_bytes;
  if (nothing_behind_) held_.resize(round_up(end(), block) - offset_);
  auto done = write_disk_bytes(lane, offset_, held_);
  held_.clear();
  return done;
}

}  // namespace splitring
