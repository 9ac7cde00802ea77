#include "fs/disk_bytes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace splitring {
namespace {

constexpr size_t kMostBlockBytes = 4096;  // Geometry::logical_block_bytes is 512 or 4096

struct EdgeRead : BlockRequest {
  std::array<iovec, 3> parts{};
  bool done = false;
};

// One request: the block before the first whole one, the whole ones, the block behind them.
Result<> read_with_edges(BlockQueue& lane, uint64_t offset, std::span<std::byte> out) {
  const uint64_t block = lane.geometry().logical_block_bytes;
  alignas(kMostBlockBytes) std::array<std::byte, kMostBlockBytes> head;
  alignas(kMostBlockBytes) std::array<std::byte, kMostBlockBytes> tail;
  const uint64_t skipped = offset % block;
  const uint64_t head_bytes = skipped == 0 ? 0 : std::min(block - skipped, out.size());
  const uint64_t middle_bytes = (out.size() - head_bytes) / block * block;
  const uint64_t tail_bytes = out.size() - head_bytes - middle_bytes;

  EdgeRead request;
  size_t parts = 0;
  if (head_bytes != 0) request.parts[parts++] = {head.data(), block};
  if (middle_bytes != 0) request.parts[parts++] = {out.data() + head_bytes, middle_bytes};
  if (tail_bytes != 0) request.parts[parts++] = {tail.data(), block};
  request.first = Sectors::from_bytes(offset - skipped);
  request.buffers = std::span(request.parts.data(), parts);
  request.complete = [](BlockRequest& r) noexcept { static_cast<EdgeRead&>(r).done = true; };
  lane.submit(request);
  while (!request.done) lane.wait();
  if (request.status != IoStatus::kOk)
    return fail(errc_from(request.status), "read of " + std::to_string(out.size()) +
                                               " bytes at byte " + std::to_string(offset) + ": " +
                                               to_string(request.status));
  std::memcpy(out.data(), head.data() + skipped, head_bytes);
  std::memcpy(out.data() + head_bytes + middle_bytes, tail.data(), tail_bytes);
  return {};
}

}  // namespace

Result<> read_disk_bytes(BlockQueue& lane, uint64_t offset, std::span<std::byte> out) {
  const Geometry disk = lane.geometry();
  const uint64_t block = disk.logical_block_bytes;
  if (!in_range(offset, out.size(), disk.capacity.bytes()))
    return fail(Errc::kInvalid, "read of " + std::to_string(out.size()) + " bytes at byte " +
                                    std::to_string(offset) + ": beyond the end of the disk");
  if (out.empty()) return {};
  if (out.size() + 2 * block <= std::max(disk.largest_request_bytes, uint32_t{1} << 16))
    return read_with_edges(lane, offset, out);
  // Too large for one request: the edges apart, and the lane overlaps the pieces of the middle.
  const uint64_t head_bytes = (block - offset % block) % block;
  const uint64_t middle_bytes = (out.size() - head_bytes) / block * block;
  const std::span<std::byte> tail = out.subspan(head_bytes + middle_bytes);
  if (head_bytes != 0) TRY_VOID(read_with_edges(lane, offset, out.first(head_bytes)));
  TRY_VOID(
      lane.read(Sectors::from_bytes(offset + head_bytes), out.subspan(head_bytes, middle_bytes)));
  if (tail.empty()) return {};
  return read_with_edges(lane, offset + head_bytes + middle_bytes, tail);
}

}  // namespace splitring
