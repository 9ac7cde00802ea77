// What a tree store does when its disk lies or fails: rows K1 to K3, and the Nth request of every
// N.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "blkimage/fault_device.h"
#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/store.h"
#include "tests/support/must.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;
using Model = std::map<std::string, std::string>;

constexpr size_t kDiskBytes = size_t{1} << 20;
const kv::StoreOptions kSmall{.cache_bytes = 0, .background = false};

class Image {
 public:
  Image() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)))) {
    lane_ = std::move(*disk_->open_queue({}));
  }
  BlockDevice& disk() { return *disk_; }
  std::vector<std::byte> bytes() {
    std::vector<std::byte> all(kDiskBytes);
    EXPECT_TRUE(lane_->read({0}, all));
    return all;
  }
  void show(const std::vector<std::byte>& all) { EXPECT_TRUE(lane_->write({0}, all)); }

 private:
  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<BlockQueue> lane_;
};

Result<> fill(Session& session, Model& model, uint32_t seed, int keys) {
  std::mt19937 random(seed);
  Model next = model;
  TRY_VOID(session.with_tx([&](Transaction& tx) -> Result<> {
    for (int i = 0; i < keys; i++) {
      const std::string key = "key" + std::to_string(random() % 400);
      const size_t bytes = random() % 40 == 0 ? 3000 : random() % 150;
      next[key] = std::string(bytes, static_cast<char>('a' + random() % 26));
      TRY_VOID(tx.put(kDefaultTree, key, next[key]));
    }
    return {};
  }));
  model = next;
  return {};
}

// Everything that is read agrees with one of the models, or there is an error.
bool never_wrong(BlockDevice& disk, std::initializer_list<const Model*> models) {
  const auto store = TreeStore::open(disk, kSmall);
  if (!store) return true;
  const auto session = std::move(*(*store)->session());
  auto view = session->view();
  bool agrees = false;
  for (const Model* const model : models) {
    bool wrong = false;
    for (const auto& [key, value] : *model) {
      const auto found = view->get(kDefaultTree, key);
      wrong = wrong || (found && (!*found || **found != value));
    }
    const auto count = view->count(kDefaultTree, {});
    wrong = wrong || (count && *count != model->size());
    agrees = agrees || !wrong;
  }
  return agrees;
}

TEST(TreeStoreFaults, K1_AFlippedBitIsFoundAndNamedNeverReturned) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  Model before;
  Model model;
  {
    auto store = std::move(*TreeStore::open(image.disk(), kSmall));
    auto session = std::move(*store->session());
    ASSERT_TRUE(fill(*session, model, 1, 300));
    ASSERT_TRUE(session->checkpoint());
    ASSERT_TRUE(fill(*session, model, 2, 10));
    ASSERT_TRUE(fill(*session, model, 3, 10));
    before = model;
    ASSERT_TRUE(fill(*session, model, 4, 5));  // what is torn may be the last one
  }
  const auto good = image.bytes();
  std::mt19937 random(5);
  size_t flipped = 0;
  for (size_t at = 0; at < kDiskBytes; at += 1 + random() % 40) {
    if (good[at] == std::byte{0} && at % 64 != 0) continue;  // mostly the unused part
    auto bad = good;
    bad[at] ^= std::byte{1} << (random() % 8);
    image.show(bad);
    ASSERT_TRUE(never_wrong(image.disk(), {&model, &before})) << "byte " << at;
    flipped++;
  }
  EXPECT_GT(flipped, 1000U);
}

TEST(TreeStoreFaults, K1_CheckNamesThePageThatRotted) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  auto store = std::move(*TreeStore::open(image.disk(), kSmall));
  auto session = std::move(*store->session());
  Model model;
  ASSERT_TRUE(fill(*session, model, 1, 300));
  ASSERT_TRUE(session->checkpoint());
  auto report = kv::StoreCheck::run(*store, *session);
  ASSERT_TRUE(report);
  ASSERT_TRUE(report->clean()) << report->problems.front();
  const uint64_t used = report->leaf_pages + report->inner_pages + report->value_pages;
  ASSERT_GT(used, 5U);
  auto bytes = image.bytes();
  uint64_t named = 0;
  for (uint64_t page = 20; page < 250; page++) {
    auto bad = bytes;
    bad[page * kv::kPageBytes + 100] ^= std::byte{4};
    image.show(bad);
    report = kv::StoreCheck::run(*store, *session);
    ASSERT_TRUE(report);
    if (report->clean()) continue;
    EXPECT_NE(report->problems.front().find(std::to_string(page)), std::string::npos)
        << report->problems.front();
    named++;
  }
  EXPECT_GE(named, used / 2);  // the rest may end before that byte
}

TEST(TreeStoreFaults, K1_CheckLooksAtLongValuesThatOnlyTheRingNames) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  auto store = std::move(*TreeStore::open(image.disk(), kSmall));
  auto session = std::move(*store->session());
  ASSERT_TRUE(session->with_tx(
      [](Transaction& tx) { return tx.put(kDefaultTree, "long", std::string(50'000, 'x')); }));
  auto report = kv::StoreCheck::run(*store, *session);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->clean()) << report->problems.front();
  EXPECT_EQ(report->leaf_pages, 0U);
  EXPECT_EQ(report->value_pages, 13U);
  EXPECT_EQ(report->ring_keys, 1U);
  auto bytes = image.bytes();
  const std::vector<std::byte> run(1000, std::byte{'x'});
  const auto at = std::ranges::search(bytes, run).begin();
  ASSERT_NE(at, bytes.end());
  *at ^= std::byte{1};
  image.show(bytes);
  report = kv::StoreCheck::run(*store, *session);
  ASSERT_TRUE(report);
  ASSERT_EQ(report->problem_count, 1U);
  const auto page = static_cast<size_t>(at - bytes.begin()) / kv::kPageBytes;
  EXPECT_NE(report->problems.front().find(std::to_string(page)), std::string::npos)
      << report->problems.front();
}

TEST(TreeStoreFaults, K2_AnOldPageOrAnotherPageInItsPlaceIsFound) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  Model model;
  std::vector<std::vector<std::byte>> history;
  for (uint32_t generation = 0; generation < 6; generation++) {
    auto store = std::move(*TreeStore::open(image.disk(), kSmall));
    auto session = std::move(*store->session());
    ASSERT_TRUE(fill(*session, model, generation, 100));
    ASSERT_TRUE(session->checkpoint());
    history.push_back(image.bytes());
  }
  const auto& now = history.back();
  const auto page_of = [](const std::vector<std::byte>& from, size_t page) {
    return std::span(from).subspan(page * kv::kPageBytes, kv::kPageBytes);
  };
  std::mt19937 random(6);
  size_t replaced = 0;
  for (size_t page = 0; page < kDiskBytes / kv::kPageBytes; page++) {
    for (const auto& then : history) {
      const size_t other = random() % 3 == 0 ? random() % (kDiskBytes / kv::kPageBytes) : page;
      if (std::ranges::equal(page_of(now, page), page_of(then, other))) continue;
      auto bad = now;
      std::ranges::copy(page_of(then, other),
                        bad.begin() + static_cast<ptrdiff_t>(page * kv::kPageBytes));
      image.show(bad);
      ASSERT_TRUE(never_wrong(image.disk(), {&model})) << "page " << page;
      replaced++;
    }
  }
  EXPECT_GT(replaced, 200U);
}

TEST(TreeStoreFaults, K3_KeysAndValuesAtTheirLimits) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  auto store = std::move(*TreeStore::open(image.disk(), kSmall));
  auto session = std::move(*store->session());
  const auto put = [&](const std::string& key, const std::string& value) {
    return session->with_tx([&](Transaction& tx) { return tx.put(kDefaultTree, key, value); });
  };
  EXPECT_EQ(put("", "x").error().code, Errc::kInvalid);
  EXPECT_EQ(put(std::string(1025, 'k'), "x").error().code, Errc::kInvalid);
  Model model;
  for (int i = 0; i < 40; i++) {
    const std::string key =
        std::string(1023, static_cast<char>('a' + i % 3)) + static_cast<char>(i);
    model[key] = std::string(1024, static_cast<char>('A' + i % 26));
    ASSERT_TRUE(put(key, model[key]));
  }
  for (const size_t bytes : {0, 1, 1023, 1024, 1025, 4096, 4097, 131072, 131073, 200000}) {
    model["v" + std::to_string(bytes)] = std::string(bytes, 'v');
    ASSERT_TRUE(put("v" + std::to_string(bytes), std::string(bytes, 'v'))) << bytes;
  }
  model[std::string("\0", 1)] = "nul";
  ASSERT_TRUE(put(std::string("\0", 1), "nul"));
  for (int round = 0; round < 2; round++) {
    for (const auto& [key, value] : model)
      EXPECT_EQ((*session->view()).get(kDefaultTree, key).value().value_or("?"), value);
    ASSERT_TRUE(session->checkpoint());
  }
  EXPECT_EQ(session
                ->with_tx([](Transaction& tx) {
                  return tx.write_at(kDefaultTree, "v0", UINT64_MAX, "x");
                })
                .error()
                .code,
            Errc::kLimit);
  EXPECT_FALSE(*session->view()->get(kDefaultTree, std::string(5000, 'k')));
}

TEST(TreeStoreFaults, EveryRequestMayFailAndNothingThatWasCommittedIsLost) {
  for (uint64_t n = 0;; n++) {
    SCOPED_TRACE("request " + std::to_string(n));
    auto memory = std::move(*MemoryDisk::create(Sectors::from_bytes(kDiskBytes)));
    ASSERT_TRUE(TreeStore::create(*memory, {.ring_bytes = 64 << 10}));
    FaultDevice disk(std::move(memory), 1);
    disk.add_rule({.let_pass = n, .times = 1});
    Model model;
    Model maybe;
    if (auto store = TreeStore::open(disk, kSmall); store) {
      auto session = (*store)->session();
      for (uint32_t round = 0; session && round < 12; round++) {
        maybe = model;
        const auto done = fill(**session, maybe, round, 40);
        if (done) model = maybe;
        if (!done) {
          // It may be there after all, or not: nobody knows. Later ones are refused.
          std::mt19937 random(round);
          maybe = model;
          for (int i = 0; i < 40; i++) {
            const std::string key = "key" + std::to_string(random() % 400);
            const size_t bytes = random() % 40 == 0 ? 3000 : random() % 150;
            maybe[key] = std::string(bytes, static_cast<char>('a' + random() % 26));
          }
          break;
        }
        if (round % 3 == 2 && !(*session)->checkpoint()) break;
      }
    }
    const bool was_hit = disk.hits() != 0;
    disk.clear_rules();
    // A disk whose flush failed takes no writes before it is opened again: only read it.
    auto store = TreeStore::open(disk, {.cache_bytes = 0, .background = false, .read_only = true});
    ASSERT_TRUE(store) << store.error().what;
    auto session = std::move(*(*store)->session());
    Model there;
    auto view = session->view();
    auto cursor = view->cursor(kDefaultTree);
    std::string value;
    for (auto more = cursor.first(); *more; more = cursor.next()) {
      ASSERT_TRUE(view->value(cursor, value));
      there[std::string(cursor.key())] = value;
    }
    ASSERT_TRUE(there == model || there == maybe);
    const auto report = kv::StoreCheck::run(**store, *session);
    ASSERT_TRUE(report);
    for (const std::string& problem : report->problems)
      ASSERT_TRUE(problem.starts_with("superblock")) << problem;
    if (!was_hit) return;  // it took fewer requests than that
    ASSERT_LT(n, 5000U);
  }
}

TEST(TreeStoreFaults, WhatAnExceptionInterruptsIsRolledBack) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {}));
  {
    const auto store = std::move(*TreeStore::open(image.disk(), kSmall));
    const auto session = std::move(*store->session());
    const auto put = [&](const char* key, const char* value) {
      return session->with_tx([&](Transaction& tx) { return tx.put(kDefaultTree, key, value); });
    };
    ASSERT_TRUE(put("a", "committed"));
    EXPECT_THROW(static_cast<void>(session->with_tx([](Transaction& tx) -> Result<> {
                   TRY_VOID(tx.put(kDefaultTree, "a", "not committed"));
                   throw std::bad_alloc();
                 })),
                 std::bad_alloc);
    ASSERT_TRUE(put("b", "committed"));
    EXPECT_EQ(must(must(session->view()).get(kDefaultTree, "a")), "committed");
  }
}

TEST(TreeStoreFaults, AFullStoreRefusesToGrowAndStillDeletes) {
  Image image;
  ASSERT_TRUE(TreeStore::create(image.disk(), {.ring_bytes = 64 << 10}));
  auto store = std::move(*TreeStore::open(image.disk(), kSmall));
  auto session = std::move(*store->session());
  for (int round = 0; round < 3; round++) {
    int keys = 0;
    Result<> done;
    while (done) {
      done = session->with_tx([&](Transaction& tx) {
        return tx.put(kDefaultTree, "key" + std::to_string(keys),
                      std::string(static_cast<size_t>(keys % 3 == 0 ? 5000 : 500), 'x'));
      });
      if (done) keys++;
      ASSERT_LT(keys, 5000);
    }
    EXPECT_EQ(done.error().code, Errc::kNoSpace) << done.error().what;
    EXPECT_GT(keys, 100) << "round " << round;
    for (int i = 0; i < keys; i++) {
      const auto removed = session->with_tx(
          [&](Transaction& tx) { return tx.remove(kDefaultTree, "key" + std::to_string(i)); });
      ASSERT_TRUE(removed) << removed.error().what << " at " << i << " of " << keys;
    }
    const auto report = kv::StoreCheck::run(*store, *session);
    ASSERT_TRUE(report && report->clean()) << report->problems.front();
    EXPECT_EQ(*session->view()->count(kDefaultTree, {}), 0U);
  }
}

}  // namespace
}  // namespace splitring::test
