// The fixture of the pump's tests: each claim is checked for both wire layouts and all three ways
// to reach a guest's data.
#pragma once

#include <gtest/gtest.h>

#include <tuple>

#include "tests/support/backend/pump_bench.h"

namespace splitring::backend {

inline constexpr int16_t kOkay = static_cast<int16_t>(blkif::Status::kOkay);
inline constexpr int16_t kError = static_cast<int16_t>(blkif::Status::kError);
inline constexpr int16_t kUnsupported = static_cast<int16_t>(blkif::Status::kUnsupported);

class AllWays : public ::testing::TestWithParam<std::tuple<blkif::Abi, DataWay>> {
 protected:
  static BenchOptions defaults() {
    BenchOptions options;
    options.abi = std::get<0>(GetParam());
    options.way = std::get<1>(GetParam());
    return options;
  }
  static bool persistent() { return std::get<1>(GetParam()) == DataWay::kPersistent; }
};

inline std::string way_name(const ::testing::TestParamInfo<AllWays::ParamType>& info) {
  const char* const way = std::get<1>(info.param) == DataWay::kPersistent ? "persistent"
                          : std::get<1>(info.param) == DataWay::kCopied   ? "copied"
                                                                          : "mapped";
  return (std::get<0>(info.param) == blkif::Abi::kX86_32 ? "x86_32_" : "x86_64_") +
         std::string(way);
}

#define SPLITRING_ALL_WAYS                                                        \
  ::testing::Combine(::testing::Values(blkif::Abi::kX86_64, blkif::Abi::kX86_32), \
                     ::testing::Values(DataWay::kPersistent, DataWay::kCopied, DataWay::kMapped))

inline HandRequest read_request(uint64_t id, uint64_t sector,
                                std::vector<blkif::Segment> segments) {
  return {.operation = blkif::kOpRead, .id = id, .sector = sector, .segments = std::move(segments)};
}
inline HandRequest write_request(uint64_t id, uint64_t sector,
                                 std::vector<blkif::Segment> segments) {
  return {
      .operation = blkif::kOpWrite, .id = id, .sector = sector, .segments = std::move(segments)};
}

// Bytes that differ from page to page and within one.
inline void fill(std::span<std::byte> bytes, uint32_t seed) {
  for (size_t i = 0; i < bytes.size(); i++)
    bytes[i] = static_cast<std::byte>((i * 7 + seed * 31 + (i >> 8)) & 0xff);
}

}  // namespace splitring::backend

// The suite of the rows of facts B, in several files; one of them instantiates it. In a namespace
// of its own since the room's main class has that name.
namespace splitring::backend::rows {
class Backend : public AllWays {};
}  // namespace splitring::backend::rows
