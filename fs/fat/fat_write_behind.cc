#include "fs/fat/fat_write_behind.h"

#include <algorithm>
#include <cstring>

#include "fs/fat/fat_io.h"

namespace splitring {
namespace {

constexpr size_t kMostHeld = size_t{2} << 20;
constexpr size_t kLargeWrite = size_t{256} << 10;  // goes to the disk at once, from where it lies

}  // namespace

uint64_t FatWriteBehind::cluster_end(uint64_t offset) const {
  return begin_ + round_up(offset - begin_, cluster_bytes_);
}

bool FatWriteBehind::join(uint64_t offset, std::span<const std::byte> bytes, bool nothing_behind) {
  if (held_.empty() || offset < offset_) return false;
  const uint64_t at = offset - offset_;
  // Over a gap only if that is the rest of a file's last cluster.
  if (at > held_.size() && (!nothing_behind_ || offset != cluster_end(end()))) return false;
  if (at + bytes.size() > kMostHeld) return false;
  if (at + bytes.size() >= held_.size()) {
    held_.resize(at);
    held_.insert(held_.end(), bytes.begin(), bytes.end());
    nothing_behind_ = nothing_behind;
  } else {
    std::memcpy(held_.data() + at, bytes.data(), bytes.size());
  }
  return true;
}

Result<> FatWriteBehind::write(BlockQueue& lane, uint64_t offset, std::span<const std::byte> bytes,
                               bool nothing_behind) {
  if (bytes.size() >= kLargeWrite) {
    TRY_VOID(settle(lane, offset, bytes.size()));
    const uint64_t block = lane.geometry().logical_block_bytes;
    const size_t edge = (offset + bytes.size()) % block;
    if (offset % block == 0 && edge != 0 && edge < bytes.size()) {
      TRY_VOID(write_disk_bytes(lane, offset, bytes.first(bytes.size() - edge)));
      return write(lane, offset + bytes.size() - edge, bytes.last(edge), nothing_behind);
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
  const size_t held = held_.size();
  // A block may hold several clusters.
  if (nothing_behind_) held_.resize(std::min(round_up(end(), block), cluster_end(end())) - offset_);
  auto done = write_disk_bytes(lane, offset_, held_);
  // What did not get there stays: it is not the caller's, but of those who wrote it, and are told
  // by their next sync at the latest.
  held_.resize(done ? 0 : held);
  return done;
}

}  // namespace splitring
