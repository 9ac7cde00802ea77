// How entries are divided into pages: whatever their keys have in common, every page holds what is
// put into it, and a checkpoint that could not be made is not the end of a store.
#include <gtest/gtest.h>

#include <map>

#include "tests/support/kv/open_store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

void expect_whole(OpenStore& open, const Model& model) {
  open.expect_clean();
  auto view = std::move(*open.session->view());
  EXPECT_EQ(*view.count(kDefaultTree, {}), model.size());
  for (const auto& [key, value] : model) EXPECT_EQ(view.get(kDefaultTree, key)->value(), value);
}

// Four of them fill a page to its last byte by the prefix of all, and have a longer one of their
// own, behind which the slots begin up to seven bytes later.
TEST(TreeStorePack, APageWhosePrefixIsLongerThanItsNeighboursHasRoomForItsEntries) {
  for (size_t bytes = 960; bytes <= 1024; bytes++) {
    OpenStore open({.ring_bytes = 1 << 20});
    Model model;
    for (const char* key : {"userAaaa", "userAbbb", "userAccc", "userAddd", "userBaaa", "userBbbb",
                            "userBccc", "userBddd"})
      model[key] = std::string(bytes, 'x');
    ASSERT_TRUE(put_all(*open.session, model));
    open.reopen();
    const auto done = open.session->checkpoint();
    ASSERT_TRUE(done) << done.error().what;
    open.reopen();
    expect_whole(open, model);
  }
}

// Where whole inner pages were emptied, what comes in later lies below the first key of the page
// that is left; it must not be lost when that page comes to stand behind another.
TEST(TreeStorePack, KeysThatComeIntoAnEmptiedRangeAreFoundAgain) {
  const auto key = [](int i) { return "key" + std::to_string(100'000 + i); };
  OpenStore open({.ring_bytes = 1 << 20});
  Model model;
  for (int i = 0; i < 6000; i++) model[key(i)] = std::string(900, 'x');
  for (int i = 0; i < 6000; i += 500) {
    Model part(model.lower_bound(key(i)), model.lower_bound(key(i + 500)));
    ASSERT_TRUE(put_all(*open.session, part));
  }
  ASSERT_TRUE(open.session->checkpoint());
  const auto remove = [&](int from, int to, int keep) {
    ASSERT_TRUE(open.session->with_tx([&](Transaction& tx) -> Result<> {
      for (int i = from; i < to; i++) {
        if (keep != 0 && i % keep == 0) continue;
        model.erase(key(i));
        TRY_VOID(tx.remove(kDefaultTree, key(i)));
      }
      return {};
    }));
    ASSERT_TRUE(open.session->checkpoint());
  };
  for (const int from : {1000, 3100}) remove(from, from + 1400, 0);
  Model late;
  for (int i = 1000; i < 4500; i += 7) late[key(i)] = std::string(30, 'l');
  ASSERT_TRUE(put_all(*open.session, late));
  for (const auto& [name, value] : late) model[name] = value;
  ASSERT_TRUE(open.session->checkpoint());
  expect_whole(open, model);
  for (int from = 0; from < 6000; from += 600) remove(from, from + 600, 21);
  expect_whole(open, model);
}

}  // namespace
}  // namespace splitring::test
