// Grants of the emulated host between processes.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "grant/emulated_grant_share.h"
#include "grant/emulated_grant_table.h"
#include "tests/support/grant/allocation_counter.h"
#include "tests/support/grant/hypervisor_process.h"

namespace splitring {
namespace {

using testing::ChildProcess;
using testing::HypervisorProcess;
using testing::Signal;

constexpr DomId kBackend{0};
constexpr DomId kFrontend{1};

std::unique_ptr<EmulatedGrantShare> open_share(const HypervisorProcess& host, unsigned domain) {
  auto share = EmulatedGrantShare::open(host.socket(domain));
  EXPECT_TRUE(share) << share.error().what;
  return share ? *std::move(share) : nullptr;
}

std::unique_ptr<EmulatedGrantTable> open_table(const HypervisorProcess& host, unsigned domain) {
  auto table = EmulatedGrantTable::open(host.socket(domain));
  EXPECT_TRUE(table) << table.error().what;
  return table ? *std::move(table) : nullptr;
}

std::byte byte_of(size_t page) { return static_cast<std::byte>(page % 251 + 1); }

void number_pages(std::span<std::byte> bytes) {
  for (size_t page = 0; page * kPageSize < bytes.size(); page++)
    std::memset(bytes.data() + page * kPageSize, static_cast<int>(byte_of(page)), kPageSize);
}

// Tries it in a process of its own.
bool faults_on_write(const Mapping& mapping) {
  ChildProcess writer([&] {
    std::signal(SIGSEGV, [](int) { ::_exit(0); });
    *const_cast<volatile std::byte*>(mapping.bytes().data()) = std::byte{2};
    return false;
  });
  return writer.join();
}

TEST(EmulatedGrants, APageIsTheSameMemoryOnBothSides) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto table = open_table(host, 0);
  const auto pages = share->share(kBackend, 2, Access::kReadWrite).value();
  const Mapping mapping = table->map(kFrontend, pages->refs(), Access::kReadWrite).value();
  ASSERT_EQ(mapping.bytes().size(), 2 * kPageSize);
  pages->bytes()[kPageSize] = std::byte{7};
  mapping.bytes()[0] = std::byte{9};
  EXPECT_EQ(mapping.bytes()[kPageSize], std::byte{7});
  EXPECT_EQ(pages->bytes()[0], std::byte{9});
}

TEST(EmulatedGrants, F10_SharedPagesBeginZeroed) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  for (int round = 0; round < 3; round++) {
    const auto pages = share->share(kBackend, 16, Access::kReadWrite).value();
    EXPECT_TRUE(std::ranges::all_of(pages->bytes(), [](std::byte b) { return b == std::byte{}; }));
    std::ranges::fill(pages->bytes(), std::byte{0xaa});
  }
}

TEST(EmulatedGrants, MapsAnyOrderAndManyMessagesInOneRange) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto table = open_table(host, 0);
  const auto pages = share->share(kBackend, 700, Access::kReadWrite).value();
  number_pages(pages->bytes());
  std::vector<GrantRef> refs(pages->refs().begin(), pages->refs().end());
  std::ranges::reverse(refs);
  refs.push_back(refs.front());  // the same page twice
  Mapping mapping = table->map(kFrontend, refs, Access::kReadOnly).value();
  for (size_t i = 0; i < refs.size(); i++)
    ASSERT_EQ(mapping.bytes()[i * kPageSize + 17], byte_of(i < 700 ? 699 - i : 699)) << i;
  EXPECT_EQ(host.counts(0).pins, 701u);
  mapping.reset();
  EXPECT_EQ(host.counts(0).pins, 0u);
}

TEST(EmulatedGrants, B26_ABadReferenceInAnyMessageUndoesThemAll) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto table = open_table(host, 0);
  const auto pages = share->share(kBackend, 600, Access::kReadWrite).value();
  std::vector<GrantRef> refs(pages->refs().begin(), pages->refs().end());
  for (const size_t place : {size_t{0}, size_t{247}, size_t{248}, size_t{300}, size_t{599}}) {
    const GrantRef good = std::exchange(refs[place], GrantRef{99999});
    const auto mapped = table->map(kFrontend, refs, Access::kReadWrite);
    ASSERT_FALSE(mapped) << place;
    EXPECT_EQ(mapped.error().code, Errc::kInvalid);
    EXPECT_EQ(host.counts(0).pins, 0u) << place;
    refs[place] = good;
  }
  EXPECT_TRUE(table->map(kFrontend, refs, Access::kReadWrite));
}

TEST(EmulatedGrants, AReadOnlyMappingCannotBeWritten) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto pages = share->share(kBackend, 1, Access::kReadOnly).value();
  pages->bytes()[0] = std::byte{1};
  const auto table = open_table(host, 0);
  EXPECT_EQ(table->map(kFrontend, pages->refs(), Access::kReadWrite).error().code, Errc::kInvalid);
  const Mapping mapping = table->map(kFrontend, pages->refs(), Access::kReadOnly).value();
  EXPECT_EQ(mapping.bytes()[0], std::byte{1});
  EXPECT_NE(::mprotect(mapping.bytes().data(), kPageSize, PROT_READ | PROT_WRITE), 0);
  EXPECT_TRUE(faults_on_write(mapping));
  EXPECT_EQ(pages->bytes()[0], std::byte{1});
}

TEST(EmulatedGrants, AReaderOfAReadWriteGrantCannotWriteEither) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto pages = share->share(kBackend, 1, Access::kReadWrite).value();
  const auto table = open_table(host, 0);
  const Mapping mapping = table->map(kFrontend, pages->refs(), Access::kReadOnly).value();
  EXPECT_TRUE(faults_on_write(mapping));
  EXPECT_EQ(pages->bytes()[0], std::byte{});
}

TEST(EmulatedGrants, B27_ARevokedPageStaysUntilItsMapperLetsGo) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto table = open_table(host, 0);
  auto pages = share->share(kBackend, 2, Access::kReadWrite).value();
  const std::vector<GrantRef> refs(pages->refs().begin(), pages->refs().end());
  pages->bytes()[0] = std::byte{6};
  Mapping mapping = table->map(kFrontend, std::span(refs).first(1), Access::kReadWrite).value();
  pages.reset();
  EXPECT_EQ(mapping.bytes()[0], std::byte{6});
  mapping.bytes()[0] = std::byte{7};
  EXPECT_EQ(share->quarantined_pages(), 1u);
  EXPECT_EQ(table->map(kFrontend, refs, Access::kReadOnly).error().code, Errc::kInvalid);
  // What is shared next is other memory under other references.
  const auto next = share->share(kBackend, 8, Access::kReadWrite).value();
  EXPECT_EQ(std::ranges::count(next->refs(), refs[0]), 0);
  EXPECT_EQ(next->bytes()[0], std::byte{});
  mapping.reset();
  EXPECT_EQ(share->quarantined_pages(), 0u);
}

TEST(EmulatedGrants, SharingBeyondTheBudgetIsRefusedAndTakesNothing) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto most = share->share(kBackend, 1000, Access::kReadWrite).value();
  const auto more = share->share(kBackend, 25, Access::kReadWrite);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::kLimit);
  EXPECT_EQ(share->share(kBackend, 5000, Access::kReadWrite).error().code, Errc::kLimit);
  EXPECT_EQ(share->share(kBackend, 0, Access::kReadWrite).error().code, Errc::kInvalid);
  EXPECT_EQ(host.counts(1).grants, 1000u);
  EXPECT_TRUE(share->share(kBackend, 24, Access::kReadWrite));
}

TEST(EmulatedGrants, MappingAndCopyingDoNotAllocate) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  const auto table = open_table(host, 0);
  const auto pages = share->share(kBackend, 300, Access::kReadWrite).value();
  std::byte byte{};
  std::vector<GrantCopy> pieces(300, {.direction = GrantCopy::Direction::kFromPeer,
                                      .ref = pages->refs()[0],
                                      .offset = 0,
                                      .length = 1,
                                      .local = &byte});
  const uint64_t before = testing::allocations_of_this_thread();
  {
    const auto mapped = table->map(kFrontend, pages->refs(), Access::kReadWrite);
    ASSERT_TRUE(mapped);
  }
  ASSERT_TRUE(table->copy(kFrontend, pieces));
  EXPECT_EQ(testing::allocations_of_this_thread(), before);
}

// ---- copies
// --------------------------------------------------------------------------------------

class EmulatedCopy : public ::testing::Test {
 protected:
  static constexpr auto kFromPeer = GrantCopy::Direction::kFromPeer;
  static constexpr auto kToPeer = GrantCopy::Direction::kToPeer;

  HypervisorProcess host_{1};
  std::unique_ptr<EmulatedGrantShare> share_ = open_share(host_, 1);
  std::unique_ptr<EmulatedGrantTable> table_ = open_table(host_, 0);
  std::array<std::byte, kPageSize> local_{};
};

TEST_F(EmulatedCopy, MovesBytesBothWays) {
  const auto pages = share_->share(kBackend, 2, Access::kReadWrite).value();
  pages->bytes()[kPageSize + 100] = std::byte{1};
  local_[50] = std::byte{2};
  std::array pieces{
      GrantCopy{kFromPeer, pages->refs()[1], 100, 10, local_.data()},
      GrantCopy{kToPeer, pages->refs()[0], kPageSize - 1, 1, local_.data() + 50},
  };
  ASSERT_TRUE(table_->copy(kFrontend, pieces));
  EXPECT_EQ(pieces[0].status, GrantCopy::Status::kOk);
  EXPECT_EQ(pieces[1].status, GrantCopy::Status::kOk);
  EXPECT_EQ(local_[0], std::byte{1});
  EXPECT_EQ(pages->bytes()[kPageSize - 1], std::byte{2});
  EXPECT_EQ(host_.counts(0).pins, 0u);
}

TEST_F(EmulatedCopy, B29_EveryPieceHasItsOwnStatus) {
  const auto good = share_->share(kBackend, 1, Access::kReadWrite).value();
  const auto read_only = share_->share(kBackend, 1, Access::kReadOnly).value();
  std::vector<GrantCopy> pieces;
  for (int i = 0; i < 100; i++) {
    pieces.push_back({kFromPeer, good->refs()[0], 0, 1, local_.data()});
    pieces.push_back({kFromPeer, GrantRef{77777}, 0, 1, local_.data()});
    pieces.push_back({kFromPeer, read_only->refs()[0], 0, 1, local_.data()});
    pieces.push_back({kToPeer, read_only->refs()[0], 0, 1, local_.data()});
  }
  ASSERT_TRUE(table_->copy(kFrontend, pieces));
  for (size_t i = 0; i < pieces.size(); i++)
    EXPECT_EQ(pieces[i].status, i % 2 == 0 ? GrantCopy::Status::kOk : GrantCopy::Status::kFailed)
        << i;
}

TEST_F(EmulatedCopy, APieceOfNoBytesIsDoneWithoutLookingAtItsReference) {
  std::array pieces{GrantCopy{kToPeer, GrantRef{77777}, 0, 0, nullptr}};
  ASSERT_TRUE(table_->copy(kFrontend, pieces));
  EXPECT_EQ(pieces[0].status, GrantCopy::Status::kOk);
}

TEST_F(EmulatedCopy, FromADomainThatIsNotThereFailsEveryPiece) {
  std::array pieces{GrantCopy{kFromPeer, GrantRef{8}, 0, 1, local_.data()}};
  ASSERT_TRUE(table_->copy(DomId{9}, pieces));
  EXPECT_EQ(pieces[0].status, GrantCopy::Status::kFailed);
}

// ---- death of a process
// --------------------------------------------------------------------------

TEST(EmulatedGrants, B33_AKilledMapperLeavesNoPins) {
  HypervisorProcess host(1);
  const auto share = open_share(host, 1);
  auto pages = share->share(kBackend, 16, Access::kReadWrite).value();
  const Signal mapped;
  ChildProcess backend([&] {
    const auto table = open_table(host, 0);
    const auto mapping = table->map(kFrontend, pages->refs(), Access::kReadWrite);
    mapped.raise();
    ::pause();
    return mapping.has_value();
  });
  mapped.wait();
  EXPECT_EQ(host.counts(0), (DomainCounts{.handles = 2, .pins = 16}));
  backend.kill();
  EXPECT_EQ(host.counts_after_close(0, 1), DomainCounts{.handles = 1});
  pages.reset();
  EXPECT_EQ(share->quarantined_pages(), 0u);
  EXPECT_EQ(host.counts(1), DomainCounts{.handles = 1});
}

TEST(EmulatedGrants, B33_PagesOfAKilledOwnerStayForTheirMapper) {
  HypervisorProcess host(1);
  const Signal shared;
  ChildProcess frontend([&] {
    const auto share = open_share(host, 1);
    const auto pages = share->share(kBackend, 4, Access::kReadWrite).value();
    number_pages(pages->bytes());
    shared.raise();
    ::pause();
    return true;
  });
  shared.wait();
  const auto table = open_table(host, 0);
  const std::array<GrantRef, 2> refs{GrantRef{8}, GrantRef{9}};
  Mapping mapping = table->map(kFrontend, refs, Access::kReadWrite).value();
  frontend.kill();
  EXPECT_EQ(host.counts_after_close(1, 0), DomainCounts{.quarantined = 2});
  EXPECT_EQ(mapping.bytes()[kPageSize], byte_of(1));
  mapping.bytes()[0] = std::byte{0};
  mapping.reset();
  EXPECT_EQ(host.counts(1), DomainCounts{});
}

}  // namespace
}  // namespace splitring
