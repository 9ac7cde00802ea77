#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kv/tree/backup.h"
#include "tests/support/kv/open_store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

Model contents(Result<kv::View> view) {
  EXPECT_TRUE(view) << view.error().what;
  Model model;
  std::string value;
  auto cursor = view->cursor(kDefaultTree);
  auto more = cursor.first();
  for (; more && *more; more = cursor.next()) {
    expect_ok(view->value(cursor, value));
    model[std::string(cursor.key())] = value;
  }
  EXPECT_TRUE(more) << more.error().what;
  return model;
}

// Changes a store and its model alike.
void change(Session& session, Model& model, std::mt19937& random, int changes) {
  expect_ok(session.with_tx([&](Transaction& tx) -> Result<> {
    for (int i = 0; i < changes; i++) {
      const std::string key = "key" + std::to_string(random() % 800);
      if (random() % 4 == 0) {
        model.erase(key);
        TRY_VOID(tx.remove(kDefaultTree, key));
        continue;
      }
      const size_t bytes = random() % 20 == 0 ? random() % 40'000 : random() % 200;
      model[key] = std::string(bytes, static_cast<char>('a' + random() % 26));
      TRY_VOID(tx.put(kDefaultTree, key, model[key]));
    }
    return {};
  }));
}

TEST(TreeStoreSnapshot, ShowsWhatWasThereAndGivesItsSpaceBack) {
  OpenStore open;
  std::mt19937 random(11);
  Model model;
  std::map<std::string, Model> snapshots;
  for (int round = 0; round < 60; round++) {
    change(*open.session, model, random, 40);
    const std::string name = "s" + std::to_string(random() % 6);
    if (snapshots.contains(name)) {
      expect_ok(open.session->remove_snapshot(name));
      snapshots.erase(name);
    } else {
      expect_ok(open.session->create_snapshot(name));
      EXPECT_EQ(open.session->create_snapshot(name).error().code, Errc::kExists);
      snapshots[name] = model;
    }
    if (round % 7 == 0) open.reopen();
    if (round % 5 != 0) continue;
    EXPECT_TRUE(contents(open.session->view()) == model);
    for (const auto& [each, then] : snapshots)
      EXPECT_TRUE(contents(open.session->view_of_snapshot(each)) == then) << each;
    open.expect_clean();
  }
  for (const auto& [name, then] : snapshots) expect_ok(open.session->remove_snapshot(name));
  EXPECT_EQ(open.session->remove_snapshot("s0").error().code, Errc::kNotFound);
  open.expect_clean();
}

TEST(TreeStoreSnapshot, ABranchGoesItsOwnWay) {
  OpenStore open;
  std::mt19937 random(12);
  Model main;
  change(*open.session, main, random, 300);
  expect_ok(open.session->create_snapshot("start"));
  Model side = main;
  expect_ok(open.session->create_branch("side", "start"));
  const auto other = std::move(*open.store->session());
  expect_ok(other->use_branch("side"));
  for (int round = 0; round < 10; round++) {
    change(*open.session, main, random, 30);
    change(*other, side, random, 30);
    if (round == 5) expect_ok(other->create_snapshot("of the side"));
    if (round % 3 == 0) expect_ok(other->checkpoint());
  }
  EXPECT_TRUE(contents(open.session->view()) == main);
  EXPECT_TRUE(contents(other->view()) == side);
  open.expect_clean();
  EXPECT_EQ(open.session->remove_snapshot("start").error().code, Errc::kBusy);
  EXPECT_EQ(open.session->remove_branch("side").error().code, Errc::kBusy);
  expect_ok(open.session->remove_snapshot("of the side"));
  open.expect_clean();
  expect_ok(open.session->remove_branch("side"));
  expect_ok(open.session->remove_snapshot("start"));
  open.expect_clean();
  EXPECT_TRUE(contents(open.session->view()) == main);
  EXPECT_FALSE(other->with_tx([](Transaction& tx) { return tx.put(kDefaultTree, "a", "b"); }));
}

TEST(TreeStoreSnapshot, DiffSaysWhatChangedAndReadsNoMore) {
  OpenStore open({.disk_bytes = 64 << 20});
  std::mt19937 random(13);
  Model before;
  for (int i = 0; i < 20; i++) change(*open.session, before, random, 500);
  expect_ok(open.session->with_tx([&](Transaction& tx) -> Result<> {
    for (int i = 0; i < 20'000; i++)
      TRY_VOID(tx.put(kDefaultTree, "bulk" + std::to_string(i), std::string(100, 'b')));
    return {};
  }));
  before = contents(open.session->view());
  expect_ok(open.session->create_snapshot("a"));
  Model after = before;
  change(*open.session, after, random, 20);
  // A change in the middle of a long value is one.
  expect_ok(open.session->with_tx([&](Transaction& tx) -> Result<> {
    return tx.write_at(kDefaultTree, "long", 500'000, "x");
  }));
  expect_ok(open.session->create_snapshot("b"));
  expect_ok(open.session->with_tx([&](Transaction& tx) -> Result<> {
    return tx.write_at(kDefaultTree, "long", 400'000, "y");
  }));
  expect_ok(open.session->create_snapshot("c"));
  std::map<std::string, Session::Difference> expected;
  for (const auto& [key, value] : before)
    if (!after.contains(key))
      expected[key] = Session::Difference::kRemoved;
    else if (after[key] != value)
      expected[key] = Session::Difference::kChanged;
  for (const auto& [key, value] : after)
    if (!before.contains(key)) expected[key] = Session::Difference::kAdded;
  expected["long"] = Session::Difference::kAdded;
  std::map<std::string, Session::Difference> found;
  const auto visit = [&](std::string_view key, Session::Difference what) -> Result<bool> {
    found[std::string(key)] = what;
    return true;
  };
  expect_ok(open.session->diff("a", "b", kDefaultTree, visit));
  // Written with what it had before is a change or none: only the others are certain.
  for (const auto& [key, what] : expected) EXPECT_TRUE(found[key] == what) << key;
  EXPECT_LE(found.size(), 21U);
  found.clear();
  expect_ok(open.session->diff("b", "c", kDefaultTree, visit));
  EXPECT_EQ(found.size(), 1U);
  EXPECT_TRUE(found["long"] == Session::Difference::kChanged);
}

Result<> restore_text(Session& session, const std::string& text) {
  size_t at = 0;
  TRY(kv::restore(session, [&](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = std::min({out.size(), text.size() - at, size_t{1000}});
    std::memcpy(out.data(), text.data() + at, count);
    at += count;
    return count;
  }));
  return {};
}

TEST(TreeStoreSnapshot, BackupsWholeAndSinceABaseComeBack) {
  OpenStore open;
  std::mt19937 random(14);
  Model model;
  change(*open.session, model, random, 500);
  expect_ok(open.session->with_tx([&](Transaction& tx) -> Result<> {
    const auto tree = TRY(tx.create_tree("second"));
    return tx.put(tree, "in", "second", 1234);
  }));
  expect_ok(open.session->create_snapshot("one"));
  const Model first = model;
  std::string whole;
  const auto into = [](std::string& text) {
    return [&text](std::string_view bytes) -> Result<> {
      text += bytes;
      return {};
    };
  };
  ASSERT_TRUE(kv::backup(*open.session, "one", "", into(whole)));
  change(*open.session, model, random, 100);
  expect_ok(open.session->with_tx([&](Transaction& tx) { return tx.remove_tree("second"); }));
  expect_ok(open.session->create_snapshot("two"));
  std::string since;
  ASSERT_TRUE(kv::backup(*open.session, "two", "one", into(since)));
  EXPECT_LT(since.size(), whole.size() / 2);

  OpenStore other;
  EXPECT_FALSE(restore_text(*other.session, since));  // its base is not here
  expect_ok(restore_text(*other.session, whole));
  EXPECT_TRUE(contents(other.session->view()) == first);
  auto view = *other.session->view();
  EXPECT_EQ((*view.find(*view.tree("second"), "in"))->modified_s, 1234);
  EXPECT_EQ(restore_text(*other.session, whole).error().code, Errc::kExists);
  std::string spoilt = since;
  spoilt[spoilt.size() / 2] ^= 1;
  EXPECT_FALSE(restore_text(*other.session, spoilt));
  EXPECT_FALSE(restore_text(*other.session, since.substr(0, since.size() - 1)));
  EXPECT_TRUE(contents(other.session->view()) == first);
  expect_ok(restore_text(*other.session, since));
  EXPECT_TRUE(contents(other.session->view()) == model);
  EXPECT_FALSE((*other.session->view()).tree("second"));
  other.expect_clean();
}

}  // namespace
}  // namespace splitring::test
