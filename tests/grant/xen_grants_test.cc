// What our code asks of libxengnttab and libxenevtchn, and what it makes of their answers.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "grant/xen_event_channel.h"
#include "grant/xen_grant_share.h"
#include "grant/xen_grant_table.h"
#include "tests/support/grant/fake_xen.h"

extern "C" {
#include <xen/grant_table.h>
}

namespace splitring {
namespace {

using testing::fake_xen;
using testing::FakeXen;

constexpr DomId kPeer{3};
using Calls = std::vector<std::string>;

class OnFakeXen : public ::testing::Test {
 protected:
  void SetUp() override { fake_xen() = FakeXen{}; }
};

// ---- opening
// -------------------------------------------------------------------------------------

TEST_F(OnFakeXen, OffXenEveryOpenSaysWhatIsMissingAndWhatToDo) {
  fake_xen().open_errno = ENOENT;
  const std::array errors{XenGrantTable::open().error(), XenGrantShare::open().error(),
                          XenEventChannel::offer(kPeer).error(),
                          XenEventChannel::bind(kPeer, Port{1}).error()};
  for (const Error& error : errors) {
    EXPECT_EQ(error.code, Errc::kUnsupported);
    EXPECT_NE(error.what.find("/dev/xen/"), std::string::npos) << error.what;
    EXPECT_NE(error.what.find("splitring host"), std::string::npos) << error.what;
  }
}

TEST_F(OnFakeXen, WithoutTheRightToOpenItSaysSo) {
  fake_xen().open_errno = EACCES;
  const auto table = XenGrantTable::open();
  EXPECT_EQ(table.error().code, Errc::kPermission);
  EXPECT_NE(table.error().what.find("udev"), std::string::npos);
}

// ---- maps
// ----------------------------------------------------------------------------------------

TEST_F(OnFakeXen, MapsInOneCallAndUnmapsExactlyThat) {
  {
    const auto table = XenGrantTable::open().value();
    const std::array refs{GrantRef{8}, GrantRef{11}};
    Mapping mapping = table->map(kPeer, refs, Access::kReadOnly).value();
    EXPECT_EQ(mapping.bytes().size(), 2 * kPageSize);
    const Mapping writable =
        table->map(kPeer, std::span(refs).first(1), Access::kReadWrite).value();
    mapping.reset();
  }
  EXPECT_EQ(fake_xen().calls,
            (Calls{"map 3 8,11 r", "map 3 8 rw", "unmap 2", "unmap 1", "close gnttab"}));
}

TEST_F(OnFakeXen, B26_AMapThatFailsLeavesNothingToUnmap) {
  const auto table = XenGrantTable::open().value();
  const std::array refs{GrantRef{8}};
  for (const auto& [number, code] : {std::pair{EINVAL, Errc::kInvalid},
                                     {EFAULT, Errc::kInvalid},
                                     {EAGAIN, Errc::kInvalid},
                                     {ENOMEM, Errc::kLimit}}) {
    fake_xen().calls.clear();
    fake_xen().map_errno = number;
    const auto mapped = table->map(kPeer, refs, Access::kReadWrite);
    ASSERT_FALSE(mapped);
    EXPECT_EQ(mapped.error().code, code) << number;
    EXPECT_NE(mapped.error().what.find("domain 3"), std::string::npos) << mapped.error().what;
    EXPECT_EQ(fake_xen().calls, Calls{"map 3 8 rw"});
  }
}

// ---- copies
// --------------------------------------------------------------------------------------

class XenCopy : public OnFakeXen {
 protected:
  static constexpr auto kOk = GrantCopy::Status::kOk;
  static constexpr auto kFailed = GrantCopy::Status::kFailed;

  std::vector<GrantCopy> pieces(size_t count) {
    return std::vector<GrantCopy>(
        count, {GrantCopy::Direction::kFromPeer, GrantRef{9}, 16, 4, local_.data()});
  }
  void SetUp() override {
    OnFakeXen::SetUp();
    table_ = XenGrantTable::open().value();
  }

  std::array<std::byte, kPageSize> local_{};
  std::unique_ptr<XenGrantTable> table_;
};

TEST_F(XenCopy, AsksForBothDirectionsAndSkipsPiecesOfNoBytes) {
  std::array batch{GrantCopy{GrantCopy::Direction::kFromPeer, GrantRef{9}, 16, 4, local_.data()},
                   GrantCopy{GrantCopy::Direction::kToPeer, GrantRef{7}, 0, 0, nullptr},
                   GrantCopy{GrantCopy::Direction::kToPeer, GrantRef{10}, 0, 4096, local_.data()}};
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_EQ(fake_xen().calls, (Calls{"from 3:9+16 4", "to 3:10+0 4096"}));
  for (const auto& piece : batch) EXPECT_EQ(piece.status, kOk);
}

TEST_F(XenCopy, B29_EveryStatusIsRead) {
  auto batch = pieces(4);
  fake_xen().copy_statuses = {GNTST_okay, GNTST_bad_gntref, GNTST_okay, GNTST_permission_denied};
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_EQ(batch[0].status, kOk);
  EXPECT_EQ(batch[1].status, kFailed);
  EXPECT_EQ(batch[2].status, kOk);
  EXPECT_EQ(batch[3].status, kFailed);
}

TEST_F(XenCopy, B29_OnlyPagesThatAreBeingBroughtInAreTriedAgain) {
  auto batch = pieces(3);
  fake_xen().copy_statuses = {GNTST_eagain, GNTST_bad_gntref, GNTST_eagain,  //
                              GNTST_okay,   GNTST_eagain,                    //
                              GNTST_okay};
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_EQ(fake_xen().copy_counts, (std::vector<uint32_t>{3, 2, 1}));
  EXPECT_EQ(batch[0].status, kOk);
  EXPECT_EQ(batch[1].status, kFailed);
  EXPECT_EQ(batch[2].status, kOk);
}

TEST_F(XenCopy, B29_APageThatIsNeverBroughtInFailsAfterFewTries) {
  auto batch = pieces(2);
  fake_xen().copy_always = GNTST_eagain;
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_LE(fake_xen().copy_counts.size(), 5u);
  for (const auto& piece : batch) EXPECT_EQ(piece.status, kFailed);
}

TEST_F(XenCopy, LargeBatchesAreSeveralCalls) {
  auto batch = pieces(150);
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_EQ(fake_xen().copy_counts, (std::vector<uint32_t>{64, 64, 22}));
  EXPECT_TRUE(std::ranges::all_of(batch, [](const auto& piece) { return piece.status == kOk; }));
}

TEST_F(XenCopy, ACallThatFailsFailsAsAWholeOnlyIfNothingWasTried) {
  auto batch = pieces(100);
  fake_xen().copy_errno = ENOTTY;
  const auto refused = table_->copy(kPeer, batch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  fake_xen().copy_calls_that_work = 1;
  ASSERT_TRUE(table_->copy(kPeer, batch));
  EXPECT_EQ(batch[63].status, kOk);
  EXPECT_EQ(batch[64].status, kFailed);
}

// ---- shares
// --------------------------------------------------------------------------------------

TEST_F(OnFakeXen, SharesAndUnsharesTheSamePages) {
  {
    const auto share = XenGrantShare::open().value();
    const auto pages = share->share(kPeer, 2, Access::kReadOnly).value();
    ASSERT_EQ(pages->refs().size(), 2u);
    EXPECT_EQ(pages->refs()[1], GrantRef{101});
    EXPECT_EQ(pages->bytes().size(), 2 * kPageSize);
    EXPECT_EQ(share->quarantined_pages(), 0u);
  }
  EXPECT_EQ(fake_xen().calls, (Calls{"share 3 2 r", "unshare 2"}));
  EXPECT_EQ(fake_xen().share_fd_flags, FD_CLOEXEC) << "the library forgets it";
}

TEST_F(OnFakeXen, AShareBeyondTheKernelsBudgetNamesTheParameter) {
  const auto share = XenGrantShare::open().value();
  fake_xen().share_errno = ENOSPC;
  const auto refused = share->share(kPeer, 2000, Access::kReadWrite);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_NE(refused.error().what.find("limit"), std::string::npos);
  EXPECT_EQ(share->share(kPeer, 0, Access::kReadWrite).error().code, Errc::kInvalid);
  EXPECT_EQ(share->share(kPeer, 0xffffffff, Access::kReadWrite).error().code, Errc::kLimit);
}

// ---- event channels
// ------------------------------------------------------------------------------

TEST_F(OnFakeXen, OffersNotifiesAndCloses) {
  {
    const auto channel = XenEventChannel::offer(kPeer).value();
    EXPECT_EQ(channel->port(), Port{5});
    EXPECT_TRUE(channel->notify());
  }
  EXPECT_EQ(fake_xen().calls, (Calls{"offer 3", "notify 5", "close evtchn"}));
}

TEST_F(OnFakeXen, B11_APortThatCannotBeBoundIsInvalid) {
  EXPECT_EQ(XenEventChannel::bind(kPeer, Port{99}).error().code, Errc::kInvalid);
  EXPECT_EQ(XenEventChannel::bind(kPeer, Port{4}).value()->port(), Port{6});
}

TEST_F(OnFakeXen, AcknowledgeTakesTheSignalAndUnmasksButNeverBlocks) {
  const auto channel = XenEventChannel::offer(kPeer).value();
  ASSERT_TRUE(channel->acknowledge());
  EXPECT_EQ(fake_xen().calls, Calls{"offer 3"}) << "nothing pending: the library would block";
  testing::raise_fake_event(5);
  ASSERT_TRUE(channel->acknowledge());
  EXPECT_EQ(fake_xen().calls, (Calls{"offer 3", "pending 5", "unmask 5"}));
}

}  // namespace
}  // namespace splitring
