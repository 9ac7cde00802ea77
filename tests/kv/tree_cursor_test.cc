// Cursors: memtables and tree as one, both ways, while their own transaction changes what they see.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "blkimage/memory_disk.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::KeyRange;
using kv::Transaction;
using Model = std::map<std::string, std::string>;

class TreeCursorTest : public ::testing::Test {
 protected:
  TreeCursorTest() : disk_(std::move(*MemoryDisk::create(Sectors::from_bytes(16 << 20)))) {
    EXPECT_TRUE(kv::TreeStore::create(*disk_, {}));
    store_ = std::move(*kv::TreeStore::open(*disk_, {.background = false}));
    session_ = std::move(*store_->session());
  }

  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<kv::TreeStore> store_;
  std::unique_ptr<kv::Session> session_;
};

// Few that are alike in their first bytes, of all lengths around eight, with the lowest and the
// highest byte in them.
std::string random_key(std::mt19937& random) {
  static constexpr char kBytes[] = {'\0', 'a', 'b', '\xfe', '\xff'};
  std::string key(1 + random() % 12, 'k');
  for (char& byte : key)
    if (random() % 3 == 0) byte = kBytes[random() % sizeof kBytes];
  return key;
}

KeyRange random_range(std::mt19937& random) {
  KeyRange range;
  if (random() % 4 == 0) return KeyRange::prefix(random_key(random).substr(0, 2));
  if (random() % 3 != 0) range.from = random_key(random);
  if (random() % 3 != 0) range.to = random_key(random);
  return range;
}

Model within(const Model& model, const KeyRange& range) {
  Model part;
  for (const auto& [key, value] : model)
    if (key >= range.from && (!range.to || key < *range.to)) part[key] = value;
  return part;
}

void change_something(Transaction& tx, std::mt19937& random, Model& model) {
  const std::string key = random_key(random);
  if (random() % 2 == 0) {
    ASSERT_TRUE(tx.remove(kDefaultTree, key));
    model.erase(key);
  } else {
    const std::string value = "v" + std::to_string(random());
    ASSERT_TRUE(tx.put(kDefaultTree, key, value));
    model[key] = value;
  }
}

// Where the cursor should be: the first of `part` behind `key`, or the last before it.
Model::const_iterator neighbour(const Model& part, const std::string& key, bool forward) {
  if (forward) return part.upper_bound(key);
  const auto at = part.lower_bound(key);
  return at == part.begin() ? part.end() : std::prev(at);
}

// Walks to and fro; every now and then something changes, if it is a transaction's.
void walk(kv::TreeReader& reader, Transaction* tx, std::mt19937& random, Model& model) {
  const KeyRange range = random_range(random);
  kv::TreeCursor cursor = reader.cursor(kDefaultTree, range);
  Model part = within(model, range);
  bool forward = random() % 2 == 0;
  Result<bool> more = forward ? cursor.first() : cursor.last();
  Model::const_iterator expected = part.end();
  if (!part.empty()) expected = forward ? part.begin() : std::prev(part.end());
  std::string value;
  for (int step = 0; step < 40; step++) {
    ASSERT_TRUE(more) << more.error().what;
    ASSERT_EQ(*more, expected != part.end());
    ASSERT_EQ(cursor.valid(), *more);
    if (!*more) return;
    const std::string key = expected->first;
    ASSERT_EQ(cursor.key(), key);
    ASSERT_TRUE(reader.value(cursor, value));
    ASSERT_EQ(value, expected->second);
    if (random() % 6 == 0) forward = !forward;
    if (tx != nullptr && random() % 3 == 0) {
      change_something(*tx, random, model);
      change_something(*tx, random, model);
      part = within(model, range);
    }
    if (random() % 10 == 0) {
      const std::string sought = random_key(random);
      more = cursor.seek(sought);
      expected = part.lower_bound(sought);
      forward = true;
    } else if (random() % 10 == 0) {
      const std::string sought = random_key(random);
      more = cursor.seek_back(sought);
      expected = neighbour(part, sought + '\0', false);
      forward = false;
    } else {
      more = forward ? cursor.next() : cursor.previous();
      expected = neighbour(part, key, forward);
    }
  }
}

TEST_F(TreeCursorTest, AgreesWithAMapBothWaysWhileItsTransactionChangesIt) {
  const uint32_t seed = 20;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Model model;
  for (int round = 0; round < 100 && !HasFatalFailure(); round++) {
    const auto done = session_->with_tx([&](Transaction& tx) -> Result<> {
      for (int i = 0; i < 20; i++) change_something(tx, random, model);
      walk(tx, &tx, random, model);
      return {};
    });
    ASSERT_TRUE(done) << done.error().what;
    if (round % 7 == 0) {
      ASSERT_TRUE(session_->checkpoint());
    }
    auto view = session_->view();
    walk(*view, nullptr, random, model);
  }
}

// The memtable was at its end when the cursor came, and is not any more when it goes on.
TEST_F(TreeCursorTest, WhatItsTransactionPutsAheadOfItIsSeen) {
  ASSERT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
    for (const char* key : {"a", "d", "z"}) TRY_VOID(tx.put(kDefaultTree, key, "old"));
    return {};
  }));
  ASSERT_TRUE(session_->checkpoint());
  ASSERT_TRUE(session_->with_tx([](Transaction& tx) -> Result<> {
    std::string seen;
    kv::TreeCursor cursor = tx.cursor(kDefaultTree);
    for (bool more = TRY(cursor.first()); more; more = TRY(cursor.next())) {
      seen += cursor.key();
      if (cursor.key() != "a") continue;
      TRY_VOID(tx.put(kDefaultTree, "c", "new"));
      TRY_VOID(tx.remove(kDefaultTree, "d"));
    }
    EXPECT_EQ(seen, "acz");
    return {};
  }));
}

}  // namespace
}  // namespace splitring::test
