#include "frontend/granted_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "frontend/in_flight.h"
#include "tests/support/xenbus/emulated_machine_thread.h"

namespace splitring::frontend {
namespace {

class GrantedPoolTest : public ::testing::Test {
 protected:
  testing::EmulatedMachineThread machine_{1};
  std::unique_ptr<Host> host_ = machine_.host(1);
  std::unique_ptr<GrantShare> share_ = std::move(host_->open_grant_share()).value();
  GrantedPool pool_ = std::move(GrantedPool::create(*share_, DomId{0}, 128)).value();
};

TEST_F(GrantedPoolTest, F12_PagesAreWholeZeroedAndOfDifferentRefs) {
  std::set<uint32_t> refs;
  for (uint32_t page = 0; page <= pool_.zero_page(); page++) {
    const std::span<std::byte> bytes(pool_.address(page), kPageSize);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % kPageSize, 0U);
    EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }));
    refs.insert(pool_.ref(page));
  }
  EXPECT_EQ(refs.size(), 128U);
}

TEST_F(GrantedPoolTest, TheLatestPageGivenIsTheNextOneTaken) {
  const uint32_t one = pool_.take_page();
  const uint32_t two = pool_.take_page();
  pool_.give_page(one);
  pool_.give_page(two);
  EXPECT_EQ(pool_.take_page(), two);
  EXPECT_EQ(pool_.take_page(), one);
}

TEST_F(GrantedPoolTest, RunsAndPagesNeverOverlapAndAllComeBack) {
  const uint32_t all = pool_.free_pages();
  std::set<uint32_t> taken;
  auto run = pool_.allocate(20 * kPageSize - 512);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->size(), 20 * kPageSize - 512);
  while (pool_.free_pages() != 0) EXPECT_TRUE(taken.insert(pool_.take_page()).second);
  EXPECT_EQ(taken.size() + 20, all);
  const auto place = pool_.find(run->data());
  ASSERT_TRUE(place);
  for (uint32_t i = 0; i < 20; i++) EXPECT_FALSE(taken.contains(place->page + i));
  pool_.release(*run);
  for (const uint32_t page : taken) pool_.give_page(page);
  EXPECT_EQ(pool_.free_pages(), all);
  taken.clear();
  while (pool_.free_pages() != 0) EXPECT_TRUE(taken.insert(pool_.take_page()).second);
  EXPECT_EQ(taken.size(), all);
}

TEST_F(GrantedPoolTest, RunsLeaveEnoughForBouncing) {
  std::vector<std::span<std::byte>> runs;
  while (auto run = pool_.allocate(kPageSize)) runs.push_back(*run);
  EXPECT_EQ(pool_.free_pages(), GrantedPool::kBouncePages);
  EXPECT_EQ(pool_.allocate(0).error().code, Errc::kInvalid);
  EXPECT_EQ(pool_.allocate(~size_t{0}).error().code, Errc::kLimit);
}

TEST_F(GrantedPoolTest, FindsNothingButItsDataPages) {
  std::byte elsewhere{};
  EXPECT_FALSE(pool_.find(&elsewhere));
  EXPECT_FALSE(pool_.find(nullptr));
  EXPECT_FALSE(pool_.find(pool_.address(pool_.zero_page())));
  EXPECT_FALSE(pool_.find(pool_.address(pool_.take_descriptor())));
  const auto place = pool_.find(pool_.address(3) + 700);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->page, 3U);
  EXPECT_EQ(place->byte_offset, 700U);
}

// A host grants so many pages in one go; a larger pool has several pieces of address space, and its
// buffers never straddle a gap between them.
TEST(LargeGrantedPool, RunsLieInOnePieceAndEveryByteIsFoundAgain) {
  testing::EmulatedMachineThread machine(1,
                                         {.hypervisor = {.grants_per_domain = 4096}, .store = {}});
  const auto host = machine.host(1);
  const auto share = std::move(host->open_grant_share()).value();
  GrantedPool pool = std::move(GrantedPool::create(*share, DomId{0}, 2500)).value();
  std::set<uint32_t> pages;
  std::vector<std::span<std::byte>> runs;
  while (auto run = pool.allocate(100 * kPageSize)) {
    runs.push_back(*run);
    for (size_t offset = 0; offset < run->size(); offset += kPageSize) {
      const auto place = pool.find(run->data() + offset);
      ASSERT_TRUE(place);
      EXPECT_TRUE(pages.insert(place->page).second);
      EXPECT_EQ(pool.address(place->page), run->data() + offset);
    }
  }
  EXPECT_GE(runs.size(), 20U);
  for (const auto& run : runs) pool.release(run);
  EXPECT_TRUE(pool.allocate(900 * kPageSize));
  EXPECT_FALSE(pool.allocate(2500 * kPageSize));
}

// Every id but that of the entry in flight is refused, whatever a backend makes up.
TEST(InFlightTest, F3_F4_F5_OnlyTheIdInFlightIsFound) {
  InFlight table(32);
  BlockRequest owner;
  RingRequest& first = table.take(owner);
  const uint64_t id = table.id(first);
  EXPECT_EQ(table.find(id), &first);
  for (int bit = 0; bit < 64; bit++) EXPECT_EQ(table.find(id ^ uint64_t{1} << bit), nullptr) << bit;
  table.give(first);
  EXPECT_EQ(table.find(id), nullptr);
  RingRequest& again = table.take(owner);
  EXPECT_EQ(&again, &first);
  EXPECT_EQ(table.find(id), nullptr);
  EXPECT_EQ(table.find(table.id(again)), &again);
}

}  // namespace
}  // namespace splitring::frontend
