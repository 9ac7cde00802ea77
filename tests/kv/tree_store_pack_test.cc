// How entries are divided into pages: whatever their keys have in common, every page holds what is
// put into it, and a checkpoint that could not be made is not the end of a store.
#include <gtest/gtest.h>

#include <map>

#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;
using Model = std::map<std::string, std::string>;

struct OpenStore {
  OpenStore() : disk(std::move(*MemoryDisk::create(Sectors::from_bytes(uint64_t{16} << 20)))) {
    EXPECT_TRUE(TreeStore::create(*disk, {.ring_bytes = 1 << 20}));
    reopen();
  }
  // As after a crash: what was committed and not carried into the trees is in the ring.
  void reopen() {
    session.reset();
    store.reset();
    store = std::move(*TreeStore::open(*disk, {.background = false}));
    session = std::move(*store->session());
  }
  void expect_whole(const Model& model) {
    const auto report = kv::StoreCheck::run(*store, *session);
    ASSERT_TRUE(report) << report.error().what;
    EXPECT_TRUE(report->clean()) << report->problems.front();
    auto view = std::move(*session->view());
    EXPECT_EQ(*view.count(kDefaultTree, {}), model.size());
    for (const auto& [key, value] : model) EXPECT_EQ(view.get(kDefaultTree, key)->value(), value);
  }
  std::unique_ptr<MemoryDisk> disk;
  std::unique_ptr<TreeStore> store;
  std::unique_ptr<Session> session;
};

Result<> put_all(Session& session, const Model& model) {
  return session.with_tx([&](Transaction& tx) -> Result<> {
    for (const auto& [key, value] : model) TRY_VOID(tx.put(kDefaultTree, key, value));
    return {};
  });
}

// Four of them fill a page to its last byte by the prefix of all, and have a longer one of their
// own, behind which the slots begin up to seven bytes later.
TEST(TreeStorePack, APageWhosePrefixIsLongerThanItsNeighboursHasRoomForItsEntries) {
  for (size_t bytes = 960; bytes <= 1024; bytes++) {
    OpenStore open;
    Model model;
    for (const char* key : {"userAaaa", "userAbbb", "userAccc", "userAddd", "userBaaa", "userBbbb",
                            "userBccc", "userBddd"})
      model[key] = std::string(bytes, 'x');
    ASSERT_TRUE(put_all(*open.session, model));
    open.reopen();
    const auto done = open.session->checkpoint();
    ASSERT_TRUE(done) << done.error().what;
    open.reopen();
    open.expect_whole(model);
  }
}

// Where whole inner pages were emptied, what comes in later lies below the first key of the page
// that is left; it must not be lost when that page comes to stand behind another.
TEST(TreeStorePack, KeysThatComeIntoAnEmptiedRangeAreFoundAgain) {
  const auto key = [](int i) { return "key" + std::to_string(100'000 + i); };
  OpenStore open;
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
  open.expect_whole(model);
  for (int from = 0; from < 6000; from += 600) remove(from, from + 600, 21);
  open.expect_whole(model);
}

}  // namespace
}  // namespace splitring::test
