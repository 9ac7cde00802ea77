// Every size, offset and constant of ring/blkif_wire.h against Xen's installed headers.

#include <gtest/gtest.h>

#include "ring/ring_layout.h"
#include "tests/support/ring/xen_blkif.h"

namespace splitring {
namespace {

template <class Xen>
class Wire : public ::testing::Test {};
using Abis = ::testing::Types<Xen64, Xen32>;
TYPED_TEST_SUITE(Wire, Abis);

// A field of ours lies where Xen's does and is as large.
#define EXPECT_SAME_FIELD(Ours, our_field, Theirs, their_field)                        \
  do {                                                                                 \
    EXPECT_EQ(offsetof(Ours, our_field), offsetof(Theirs, their_field)) << #our_field; \
    EXPECT_EQ(sizeof(Ours::our_field), sizeof(Theirs::their_field)) << #our_field;     \
  } while (false)

TYPED_TEST(Wire, RequestLiesAsXensDoes) {
  using Ours = typename TypeParam::Wire::Request;
  using Theirs = typename TypeParam::Request;
  EXPECT_EQ(sizeof(Ours), sizeof(Theirs));
  EXPECT_SAME_FIELD(Ours, operation, Theirs, operation);
  EXPECT_SAME_FIELD(Ours, segment_count, Theirs, nr_segments);
  EXPECT_SAME_FIELD(Ours, handle, Theirs, handle);
  EXPECT_SAME_FIELD(Ours, id, Theirs, id);
  EXPECT_SAME_FIELD(Ours, sector, Theirs, sector_number);
  EXPECT_SAME_FIELD(Ours, segments, Theirs, seg);
}

TYPED_TEST(Wire, DiscardLiesAsXensDoes) {
  using Ours = typename TypeParam::Wire::Discard;
  using Theirs = typename TypeParam::Discard;
  EXPECT_EQ(sizeof(Ours), sizeof(Theirs));
  EXPECT_SAME_FIELD(Ours, operation, Theirs, operation);
  EXPECT_SAME_FIELD(Ours, flags, Theirs, flag);
  EXPECT_SAME_FIELD(Ours, handle, Theirs, handle);
  EXPECT_SAME_FIELD(Ours, id, Theirs, id);
  EXPECT_SAME_FIELD(Ours, sector, Theirs, sector_number);
  EXPECT_SAME_FIELD(Ours, sector_count, Theirs, nr_sectors);
}

TYPED_TEST(Wire, IndirectLiesAsXensDoes) {
  using Ours = typename TypeParam::Wire::Indirect;
  using Theirs = typename TypeParam::Indirect;
  EXPECT_EQ(sizeof(Ours), sizeof(Theirs));
  EXPECT_SAME_FIELD(Ours, operation, Theirs, operation);
  EXPECT_SAME_FIELD(Ours, inner_operation, Theirs, indirect_op);
  EXPECT_SAME_FIELD(Ours, segment_count, Theirs, nr_segments);
  EXPECT_SAME_FIELD(Ours, id, Theirs, id);
  EXPECT_SAME_FIELD(Ours, sector, Theirs, sector_number);
  EXPECT_SAME_FIELD(Ours, handle, Theirs, handle);
  EXPECT_SAME_FIELD(Ours, page_refs, Theirs, indirect_grefs);
}

TYPED_TEST(Wire, ResponseLiesAsXensDoes) {
  using Ours = typename TypeParam::Wire::Response;
  using Theirs = typename TypeParam::Response;
  EXPECT_EQ(sizeof(Ours), sizeof(Theirs));
  EXPECT_SAME_FIELD(Ours, id, Theirs, id);
  EXPECT_SAME_FIELD(Ours, operation, Theirs, operation);
  EXPECT_SAME_FIELD(Ours, status, Theirs, status);
}

TYPED_TEST(Wire, RingLiesAsXensDoes) {
  using Theirs = typename TypeParam::SharedRing;
  using Layout = RingLayout<typename TypeParam::Wire>;
  EXPECT_EQ(Layout::kRequestProducer, offsetof(Theirs, req_prod));
  EXPECT_EQ(Layout::kRequestEvent, offsetof(Theirs, req_event));
  EXPECT_EQ(Layout::kResponseProducer, offsetof(Theirs, rsp_prod));
  EXPECT_EQ(Layout::kResponseEvent, offsetof(Theirs, rsp_event));
  EXPECT_EQ(Layout::kSlots, offsetof(Theirs, ring));
  EXPECT_EQ(Layout::kSlotBytes, sizeof(Theirs::ring[0]));
}

// The tables of both ABIs in numbers: what the headers give for x86_64 and for i386.
TEST(WireNumbers, SizesAreThoseOfTheTwoAbis) {
  EXPECT_EQ(sizeof(Xen64::Request), 112U);
  EXPECT_EQ(sizeof(Xen32::Request), 108U);
  EXPECT_EQ(sizeof(Xen64::Discard), 32U);
  EXPECT_EQ(sizeof(Xen32::Discard), 28U);
  EXPECT_EQ(sizeof(Xen64::Indirect), 64U);
  EXPECT_EQ(sizeof(Xen32::Indirect), 64U);
  EXPECT_EQ(sizeof(Xen64::Response), 16U);
  EXPECT_EQ(sizeof(Xen32::Response), 12U);
  EXPECT_EQ(offsetof(Xen64::Indirect, indirect_grefs), 28U);
  EXPECT_EQ(offsetof(Xen32::Indirect, indirect_grefs), 24U);
}

TEST(WireNumbers, SegmentLiesAsXensDoes) {
  EXPECT_EQ(sizeof(blkif::Segment), sizeof(blkif_request_segment));
  EXPECT_SAME_FIELD(blkif::Segment, ref, blkif_request_segment, gref);
  EXPECT_SAME_FIELD(blkif::Segment, first_sector, blkif_request_segment, first_sect);
  EXPECT_SAME_FIELD(blkif::Segment, last_sector, blkif_request_segment, last_sect);
}

TEST(WireNumbers, ConstantsAreXens) {
  EXPECT_EQ(blkif::kOpRead, BLKIF_OP_READ);
  EXPECT_EQ(blkif::kOpWrite, BLKIF_OP_WRITE);
  EXPECT_EQ(blkif::kOpWriteBarrier, BLKIF_OP_WRITE_BARRIER);
  EXPECT_EQ(blkif::kOpFlushDiskcache, BLKIF_OP_FLUSH_DISKCACHE);
  EXPECT_EQ(blkif::kOpDiscard, BLKIF_OP_DISCARD);
  EXPECT_EQ(blkif::kOpIndirect, BLKIF_OP_INDIRECT);
  EXPECT_EQ(static_cast<int>(blkif::Status::kOkay), BLKIF_RSP_OKAY);
  EXPECT_EQ(static_cast<int>(blkif::Status::kError), BLKIF_RSP_ERROR);
  EXPECT_EQ(static_cast<int>(blkif::Status::kUnsupported), BLKIF_RSP_EOPNOTSUPP);
  EXPECT_EQ(blkif::kDiscardSecure, BLKIF_DISCARD_SECURE);
  EXPECT_EQ(blkif::kMaxSegments, size_t{BLKIF_MAX_SEGMENTS_PER_REQUEST});
  EXPECT_EQ(blkif::kMaxIndirectPages, size_t{BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST});
  EXPECT_EQ(blkif::kSegmentsPerIndirectPage, 4096 / sizeof(blkif_request_segment));
  EXPECT_EQ(blkif::kMaxIndirectSegments, 4096U);
  EXPECT_EQ(blkif::kInfoCdrom, uint32_t{VDISK_CDROM});
  EXPECT_EQ(blkif::kInfoRemovable, uint32_t{VDISK_REMOVABLE});
  EXPECT_EQ(blkif::kInfoReadOnly, uint32_t{VDISK_READONLY});
}

TEST(WireNumbers, B8_ProtocolNamesAreXensAndNothingElseIsOne) {
  EXPECT_EQ(to_string(blkif::Abi::kX86_64), XEN_IO_PROTO_ABI_X86_64);
  EXPECT_EQ(to_string(blkif::Abi::kX86_32), XEN_IO_PROTO_ABI_X86_32);
  EXPECT_EQ(to_string(blkif::Abi::kArm), XEN_IO_PROTO_ABI_ARM);
  EXPECT_EQ(to_string(blkif::kNativeAbi), XEN_IO_PROTO_ABI_NATIVE);
  for (const auto abi : {blkif::Abi::kX86_64, blkif::Abi::kX86_32, blkif::Abi::kArm})
    EXPECT_EQ(blkif::abi_from(to_string(abi)), abi);
  for (const char* name : {"", "x86_64", "x86_64-abi ", " x86_64-abi", "X86_64-ABI", "x86_64-ab",
                           "x86_64-abi\n", "arm64-abi", "native"})
    EXPECT_EQ(blkif::abi_from(name), std::nullopt) << name;
}

TYPED_TEST(Wire, SlotsAreThePowerOfTwoThatXenComputes) {
  for (size_t pages = 1; pages <= 16; pages *= 2) {
    std::vector<std::byte> memory(pages * kPageSize);
    const RingLayout<typename TypeParam::Wire> layout(memory);
    auto* shared = reinterpret_cast<typename TypeParam::SharedRing*>(memory.data());
    typename TypeParam::BackRing theirs;
    BACK_RING_INIT(&theirs, shared, pages * kPageSize);
    EXPECT_EQ(layout.slots(), theirs.nr_ents) << pages << " pages";
    EXPECT_EQ(layout.slots(), 32 * pages);
  }
}

}  // namespace
}  // namespace splitring
