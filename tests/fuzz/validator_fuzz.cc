// Any bytes as a slot of a ring: the parser and the oracle must agree, on both wires.
//
// Input: 1 byte of flags for the disk, 8 of capacity, 2 of indirect segments offered, then the
// slot; for an accepted indirect request what follows are its segments.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "tests/support/byte_input.h"
#include "tests/support/ring/validator_comparison.h"

namespace splitring {
namespace {

[[noreturn]] void differ(const std::string& how) {
  std::fprintf(stderr, "parser and oracle differ: %s\n", how.c_str());
  std::abort();
}

blkif::DiskLimits take_disk(test::ByteInput& input) {
  const auto flags = input.take<uint8_t>();
  const auto capacity = input.take<uint64_t>();
  const auto indirect = input.take<uint16_t>();
  return {.capacity = {capacity},
          .block_bytes = (flags & 1) != 0 ? 4096U : 512U,
          .read_only = (flags & 2) != 0,
          .barrier_offered = (flags & 4) != 0,
          .flush_offered = (flags & 8) == 0,
          .discard_offered = (flags & 16) != 0,
          .indirect_segments_offered =
              static_cast<uint16_t>(indirect % (blkif::kMaxIndirectSegments + 1))};
}

void check_indirect(test::ByteInput& input, const blkif::DiskLimits& disk,
                    blkif::CheckedRequest& request) {
  std::vector<blkif::Segment> wire(request.segment_count);
  for (auto& segment : wire) segment = input.take<blkif::Segment>();
  std::vector<blkif::CheckedSegment> checked(wire.size());
  std::vector<oracle::PageSectors> pages(wire.size());
  const auto refusal = blkif::check_indirect_segments(wire, disk, checked, request);
  const auto opinion =
      oracle::judge_indirect(std::as_bytes(std::span(wire)), request.first.count, disk, pages);
  if (!oracle::agrees(opinion, pages, refusal, checked, request))
    differ(std::string(to_string(refusal)) + ", oracle: " + opinion.faults.names());
}

template <class Wire>
void compare(test::ByteInput input) {
  const blkif::DiskLimits disk = take_disk(input);
  const auto slot = input.take<typename Wire::Request>();
  ValidatorComparison<Wire> comparison;
  if (!comparison.judge(slot, disk)) differ(comparison.describe(slot));
  if (comparison.refusal() == blkif::Refusal::kNone && comparison.request().indirect)
    check_indirect(input, disk, comparison.request());
}

}  // namespace
}  // namespace splitring

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace splitring;
  compare<blkif::Wire64>(test::ByteInput({data, size}));
  compare<blkif::Wire32>(test::ByteInput({data, size}));
  return 0;
}
