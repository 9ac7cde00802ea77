#include "tools/splitring/blank_disk.h"

#include <algorithm>
#include <array>

namespace splitring::tools {

Result<bool> is_blank(BlockQueue& lane) {
  if (lane.geometry().capacity.count == 0) return true;
  std::array<std::byte, 4096> first{};
  TRY_VOID(lane.read({0}, std::span(first).first(lane.geometry().logical_block_bytes)));
  return std::ranges::all_of(first, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace splitring::tools
