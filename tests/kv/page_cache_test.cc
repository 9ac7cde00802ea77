#include "kv/tree/page_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/support/must.h"

namespace splitring::kv {
namespace {

// Readers hit pages of one set while more pages are put into it than it has room for. What they
// mark as used must be what they found there.
TEST(PageCache, AFrameIsNotHandedOutWhileItsPageIsThere) {
  constexpr uint64_t kRounds = 200'000;
  Epochs epochs;
  const auto cache = must(PageCache::create(PageCache::kLeastBytes, epochs));
  const auto set_of = [&](uint64_t page) {
    return (page * 0x9e3779b97f4a7c15 >> 32) & (2 * cache->frames() / 8 - 1);
  };
  std::vector<uint64_t> crowd;
  for (uint64_t page = 1; crowd.size() < 11; page++)
    if (set_of(page) == 5) crowd.push_back(page);
  uint64_t lone = 1;
  while (set_of(lone) == 5) lone++;

  PageCache::Supply supply(*cache);
  std::vector<uint32_t> frames;
  for (uint32_t frame = supply.take(); frame != 0; frame = supply.take()) frames.push_back(frame);
  supply.publish(lone, 0);
  for (const uint32_t frame : frames) supply.give_back(frame);

  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  for (unsigned seed = 1; seed <= 2; seed++)
    readers.emplace_back([&, seed] {
      Epochs::Slot* const slot = must(epochs.claim(false));
      std::minstd_rand random(seed);
      while (!over.load(std::memory_order_relaxed)) {
        const Pin pin(epochs, *slot);
        static_cast<void>(cache->find(lone));
        for (int i = 0; i < 8; i++) static_cast<void>(cache->find(crowd[random() % crowd.size()]));
      }
    });
  Epochs::Slot* const slot = must(epochs.claim(false));
  bool twice = false;
  for (uint64_t round = 0; round < kRounds && !twice; round++) {
    const uint32_t frame = supply.take();
    if (frame == PageCache::kNoFrame) continue;
    const Pin pin(epochs, *slot);
    twice = frame == 0 && cache->find(lone) != nullptr;
    supply.publish(frame == 0 ? lone : crowd[round % crowd.size()], frame);
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_FALSE(twice);
}

}  // namespace
}  // namespace splitring::kv
