// A store that is full: it refuses to grow, and everything that gives space back goes on.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/kv/open_store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

constexpr uint64_t kMiB = uint64_t{1} << 20;

Result<> wipe(OpenStore& open) {
  return open.session->with_tx([&](Transaction& tx) -> Result<> {
    TRY(tx.remove_range(kDefaultTree, {}));
    return {};
  });
}

void expect_done_or_full(const Result<>& result) {
  if (result) return;
  EXPECT_EQ(result.error().code, Errc::kNoSpace) << result.error().what;
}

std::string key_of(int i) { return "key" + std::to_string(10'000'000 + i); }

// Until it is full; returns the number of keys.
int fill(OpenStore& open, size_t value_bytes, int at_once) {
  int keys = 0;
  while (true) {
    const auto done = open.session->with_tx([&](Transaction& tx) -> Result<> {
      for (int i = keys; i < keys + at_once; i++)
        TRY_VOID(tx.put(kDefaultTree, key_of(i), std::string(value_bytes, 'x')));
      return {};
    });
    expect_done_or_full(done);
    if (!done) return keys;
    keys += at_once;
  }
}

// Each leaves a leaf underfull at some time, which then takes in its neighbour.
TEST(TreeStoreFull, DeletesSpreadOverAllLeavesNeverFail) {
  OpenStore open({.disk_bytes = 32 * kMiB, .ring_bytes = 2 * kMiB});
  const int keys = fill(open, 1020, 50);
  EXPECT_GT(keys, 18'000);
  constexpr int kStride = 120;
  for (int first = 0; first < kStride; first++) {
    for (int i = first; i < keys; i += kStride) expect_ok(open.remove(key_of(i)));
    if (first % 50 == 49) open.reopen();
  }
  expect_ok(open.session->checkpoint());
  open.expect_clean();
  EXPECT_EQ(*open.session->view()->count(kDefaultTree, {}), 0U);
  EXPECT_GT(fill(open, 1020, 50), keys * 9 / 10);
}

// New pages are written before the old ones are free: what lies in all of them has no room.
TEST(TreeStoreFull, RemovingFromTooManyPagesAtOnceIsRefusedAndDoneInParts) {
  OpenStore open({.ring_bytes = kMiB});
  const int keys = fill(open, 1020, 50);
  const auto remove_some = [&](int first, int last) {
    return open.session->with_tx([&](Transaction& tx) -> Result<> {
      for (int i = first; i < last; i += 4) TRY_VOID(tx.remove(kDefaultTree, key_of(i)));
      return {};
    });
  };
  const auto refused = remove_some(0, keys);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kNoSpace);
  EXPECT_NE(refused.error().what.find("remove less in one"), std::string::npos)
      << refused.error().what;
  EXPECT_EQ(*open.session->view()->count(kDefaultTree, {}), static_cast<uint64_t>(keys));
  for (int first = 0; first < keys; first += 100)
    expect_ok(remove_some(first, std::min(first + 100, keys)));
  open.expect_clean();
  EXPECT_EQ(*open.session->view()->count(kDefaultTree, {}), static_cast<uint64_t>(keys * 3 / 4));
}

TEST(TreeStoreFull, PagesOfBranchesAreCountedOnce) {
  OpenStore open({.ring_bytes = kMiB});
  for (int i = 0; i < 300; i++) expect_ok(open.put(key_of(i), std::string(900, 'x')));
  expect_ok(open.session->checkpoint());
  const auto before = open.store->stat();
  EXPECT_GT(before.leaf, 70U);
  expect_ok(open.session->create_snapshot("s"));
  for (const char* branch : {"b1", "b2"}) {
    expect_ok(open.session->create_branch(branch, "s"));
    expect_ok(open.session->use_branch(branch));
    expect_ok(wipe(open));
    expect_ok(open.session->checkpoint());
    EXPECT_EQ(open.store->stat().leaf, before.leaf);
    for (int i = 0; i < 40; i++) expect_ok(open.put(key_of(i), std::string(4000, 'y')));
    expect_ok(open.session->checkpoint());
    EXPECT_GT(open.store->stat().value, 39U);
    expect_ok(open.session->use_branch("main"));
    expect_ok(open.session->remove_branch(branch));
    EXPECT_EQ(open.store->stat().leaf, before.leaf);
    EXPECT_EQ(open.store->stat().value, 0U);
  }
  expect_ok(wipe(open));
  expect_ok(open.session->checkpoint());
  EXPECT_LT(open.store->stat().leaf, 3U);  // the catalogue's
  EXPECT_GT(open.store->stat().snapshot, before.leaf - 3);
}

// What is deleted stays, for the snapshot's sake; in the end the snapshot goes, and all is free.
TEST(TreeStoreFull, ASnapshotAndABranchOfAFullStoreCanBeRemoved) {
  for (const uint64_t bytes : {kMiB, 4 * kMiB, 16 * kMiB}) {
    SCOPED_TRACE(bytes);
    OpenStore open({.disk_bytes = bytes, .ring_bytes = bytes / 16});
    expect_ok(open.put("other", "x"));
    const uint64_t empty = open.store->stat().free;
    const int keys = static_cast<int>(bytes >> 12);
    for (int i = 0; i < keys; i++) expect_ok(open.put(key_of(i), std::string(1000, 'a')));
    expect_ok(open.session->create_snapshot("s"));
    expect_ok(open.session->create_branch("b", "s"));
    for (const char* branch : {"b", "main"}) {
      expect_ok(open.session->use_branch(branch));
      Result<> done;
      for (int i = 0; i < keys && done; i += 3) done = open.put(key_of(i), std::string(1000, 'b'));
      for (int i = 1; i < keys && done; i += 3) done = open.put(key_of(i), std::string(5000, 'c'));
      expect_done_or_full(done);
      for (int i = 0; i < keys; i += 5)
        if (const auto removed = open.remove(key_of(i)); !removed) break;
    }
    open.reopen();
    expect_ok(open.session->remove_branch("b"));
    expect_ok(open.session->remove_snapshot("s"));
    expect_ok(wipe(open));
    expect_ok(open.session->checkpoint());
    expect_ok(open.session->checkpoint());
    open.expect_clean();
    open.reopen();
    EXPECT_GE(open.store->stat().free + 8, empty);
  }
}

TEST(TreeStoreFull, FillingAndEmptyingInAnyOrderLosesNothing) {
  const unsigned seed = 20'262;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  OpenStore open({.disk_bytes = 2 * kMiB, .ring_bytes = 128 << 10});
  Model model;
  int snapshots = 0;
  for (int round = 0; round < 3'000; round++) {
    const bool growing = round / 400 % 2 == 0;
    const std::string key =
        std::string(random() % 3 == 0 ? 200 + random() % 600 : 3, char('a' + random() % 4)) +
        std::to_string(random() % 500);
    if (random() % 4 == (growing ? 0 : 1) || (!growing && random() % 2 == 0)) {
      const auto next = model.lower_bound(key);
      if (next == model.end()) continue;
      const auto done = open.remove(next->first);
      // What a snapshot holds takes the space that deletes need; without one they never fail.
      if (!done && snapshots > 0) continue;
      expect_ok(done);
      model.erase(next);
    } else {
      const std::string value(random() % 8 == 0 ? random() % 9000 : random() % 1000, 'v');
      const auto done = open.put(key, value);
      expect_done_or_full(done);
      if (done) model[key] = value;
    }
    if (round % 397 == 0 && open.session->create_snapshot(std::to_string(snapshots))) snapshots++;
    if (round % 397 == 60)
      while (snapshots > 0) expect_ok(open.session->remove_snapshot(std::to_string(--snapshots)));
    if (round % 500 == 499) open.reopen();
  }
  expect_ok(open.session->checkpoint());
  open.expect_clean();
  auto view = std::move(*open.session->view());
  EXPECT_EQ(*view.count(kDefaultTree, {}), model.size());
  for (const auto& [key, value] : model) EXPECT_EQ(view.get(kDefaultTree, key)->value(), value);
}

}  // namespace
}  // namespace splitring::test
