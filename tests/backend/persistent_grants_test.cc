// The cache of mapped pages against a model, and its bound.
#include "backend/persistent_grants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "tests/support/backend/pump_bench.h"

namespace splitring::backend {
namespace {

struct Cache {
  explicit Cache(uint32_t capacity, uint32_t guest_pages = 4096)
      : guest(guest_pages), grants(guest, GuestPages::kGuest, capacity, counters) {
    guest.grant_all();
    for (uint32_t i = 0; i < guest_pages; i++)
      std::memcpy(guest.page(PumpBench::ref(i)).data(), &i, sizeof i);
  }

  std::vector<PersistentGrants::Page> acquire(const std::vector<uint32_t>& indices) {
    std::vector<GrantRef> refs;
    for (const uint32_t index : indices) refs.push_back(GrantRef{PumpBench::ref(index)});
    std::vector<PersistentGrants::Page> pages(refs.size());
    if (!grants.acquire(refs, pages)) return {};
    for (size_t i = 0; i < indices.size(); i++) {
      uint32_t found = 0;
      std::memcpy(&found, pages[i].bytes, sizeof found);
      EXPECT_EQ(found, indices[i]) << "another page than was asked for";
    }
    return pages;
  }
  void release(const std::vector<PersistentGrants::Page>& pages) {
    for (const auto& page : pages) grants.release(page.chunk);
  }
  // Used once and let go; true if nothing had to be mapped for it.
  bool hits(uint32_t index) {
    const uint64_t maps = guest.maps();
    release(acquire({index}));
    return guest.maps() == maps;
  }

  GuestPages guest;
  RingCounters counters;
  PersistentGrants grants;
};

TEST(PersistentGrants, MapsAPageOnce) {
  Cache cache(8);
  EXPECT_FALSE(cache.hits(1));
  EXPECT_TRUE(cache.hits(1));
  EXPECT_EQ(cache.counters.persistent_misses.value(), 1U);
  EXPECT_EQ(cache.counters.persistent_hits.value(), 1U);
}

TEST(PersistentGrants, B28_ForgetsWhatWasNotUsedForLongest) {
  Cache cache(4);
  for (uint32_t i = 0; i < 4; i++) cache.hits(i);
  EXPECT_TRUE(cache.hits(0));
  EXPECT_FALSE(cache.hits(4));  // in place of 1
  EXPECT_TRUE(cache.hits(0));
  EXPECT_TRUE(cache.hits(2));
  EXPECT_TRUE(cache.hits(3));
  EXPECT_TRUE(cache.hits(4));
  EXPECT_FALSE(cache.hits(1));
  EXPECT_EQ(cache.grants.mapped_pages(), 4U);
}

TEST(PersistentGrants, B28_NeverForgetsWhatIsInUse) {
  Cache cache(4);
  const auto held = cache.acquire({0, 1});
  for (uint32_t i = 10; i < 100; i++) EXPECT_FALSE(cache.hits(i));
  EXPECT_LE(cache.guest.most_mapped_pages(), 4U);
  EXPECT_TRUE(cache.acquire({2, 3, 4}).empty()) << "there is no room for three";
  const auto more = cache.acquire({2, 3});
  ASSERT_EQ(more.size(), 2U);
  EXPECT_TRUE(cache.acquire({5}).empty());
  cache.release(held);
  EXPECT_FALSE(cache.hits(5));
  cache.release(more);
}

TEST(PersistentGrants, PagesMappedTogetherLieSideBySide) {
  Cache cache(16);
  const auto pages = cache.acquire({7, 3, 9});
  EXPECT_EQ(pages[1].bytes, pages[0].bytes + kPageSize);
  EXPECT_EQ(pages[2].bytes, pages[1].bytes + kPageSize);
  cache.release(pages);
}

TEST(PersistentGrants, B25_OneRefManyTimesIsOnePage) {
  Cache cache(4);
  const auto pages = cache.acquire({1, 1, 1, 2, 1, 2});
  EXPECT_EQ(cache.grants.mapped_pages(), 2U);
  EXPECT_EQ(pages[0].bytes, pages[4].bytes);
  cache.release(pages);
}

TEST(PersistentGrants, B26_ABadRefAmongGoodOnesHoldsNothing) {
  Cache cache(8);
  cache.guest.revoke(PumpBench::ref(5));
  cache.release(cache.acquire({1, 2}));
  for (int i = 0; i < 100; i++) EXPECT_TRUE(cache.acquire({1, 5, 2, 6}).empty());
  // All that is cached could still be forgotten.
  EXPECT_EQ(cache.acquire({10, 11, 12, 13, 14, 15, 16, 17}).size(), 8U);
}

// One page at a time, a chunk is a page, and the cache is a plain list of the latest used.
TEST(PersistentGrants, FindsAndForgetsAsAModelDoes) {
  for (uint32_t seed = 1; seed <= 4; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    constexpr size_t kCapacity = 64;
    Cache cache(kCapacity);
    std::mt19937 random(seed);
    std::map<uint32_t, int> last_use;
    for (int step = 0; step < 20'000; step++) {
      const auto index = static_cast<uint32_t>(random() % (random() % 2 == 0 ? 80 : 4096));
      const bool known = last_use.contains(index);
      ASSERT_EQ(cache.hits(index), known) << "page " << index << " at step " << step;
      if (!known && last_use.size() == kCapacity)
        last_use.erase(std::min_element(
            last_use.begin(), last_use.end(),
            [](const auto& one, const auto& other) { return one.second < other.second; }));
      last_use[index] = step;
    }
  }
}

TEST(PersistentGrants, KeepsItsBoundAndItsPagesOverRandomSteps) {
  for (uint32_t seed = 1; seed <= 8; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    constexpr uint32_t kCapacity = 64;
    Cache cache(kCapacity);
    std::mt19937 random(seed);
    std::deque<std::vector<PersistentGrants::Page>> held;
    for (int step = 0; step < 5000; step++) {
      if (held.size() > 4 || (!held.empty() && random() % 3 == 0)) {
        cache.release(held.front());
        held.pop_front();
        continue;
      }
      std::vector<uint32_t> wanted(1 + random() % 11);
      const uint32_t range = random() % 2 == 0 ? 80 : 4096;
      for (uint32_t& index : wanted) index = static_cast<uint32_t>(random() % range);
      auto pages = cache.acquire(wanted);
      if (!pages.empty()) held.push_back(std::move(pages));
      ASSERT_LE(cache.grants.mapped_pages(), kCapacity);
      ASSERT_EQ(cache.grants.mapped_pages(), cache.guest.mapped_pages());
    }
    for (const auto& pages : held) cache.release(pages);
    const CounterValues values = cache.counters.values();
    EXPECT_EQ(values.persistent_misses - values.persistent_evictions, cache.grants.mapped_pages());
  }
}

TEST(PersistentGrants, UnmapsEverythingInTheEnd) {
  GuestPages guest(64);
  guest.grant_all();
  RingCounters counters;
  {
    PersistentGrants grants(guest, GuestPages::kGuest, 32, counters);
    std::vector<GrantRef> refs;
    for (uint32_t i = 0; i < 32; i++) refs.push_back(GrantRef{PumpBench::ref(i)});
    std::vector<PersistentGrants::Page> pages(32);
    ASSERT_TRUE(grants.acquire(refs, pages));
    for (const auto& page : pages) grants.release(page.chunk);
    EXPECT_EQ(guest.mapped_pages(), 32U);
  }
  EXPECT_EQ(guest.mapped_pages(), 0U);
}

}  // namespace
}  // namespace splitring::backend
