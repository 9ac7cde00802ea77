// Grants of the emulated host between processes.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "grant/emulated_grant_share.h"
#include "grant/emulated_grant_table.h"
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

}  // namespace
}  // namespace splitring
