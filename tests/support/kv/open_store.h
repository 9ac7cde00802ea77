// What most tests of the tree store begin with: a small store on a disk of its own, open, with a
// session on it and nothing in the background.
//
//   OpenStore open;                                  // or {.disk_bytes = ..., .ring_bytes = ...}
//   ASSERT_TRUE(open.put("key", "value"));
//   open.reopen();
//   open.expect_clean();
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "blkimage/memory_disk.h"
#include "kv/tree/check.h"
#include "kv/tree/session.h"
#include "kv/tree/store.h"

namespace splitring::test {

using Model = std::map<std::string, std::string>;

struct StoreShape {
  uint64_t disk_bytes = uint64_t{16} << 20;
  uint64_t ring_bytes = uint64_t{256} << 10;
};

inline void expect_ok(const Result<>& result) { ASSERT_TRUE(result) << result.error().what; }

inline Result<> put(kv::Session& session, const std::string& key, const std::string& value) {
  return session.with_tx([&](kv::Transaction& tx) { return tx.put(kv::kDefaultTree, key, value); });
}

// In one transaction.
inline Result<> put_all(kv::Session& session, const Model& model) {
  return session.with_tx([&](kv::Transaction& tx) -> Result<> {
    for (const auto& [key, value] : model) TRY_VOID(tx.put(kv::kDefaultTree, key, value));
    return {};
  });
}

inline void expect_clean(kv::TreeStore& store, kv::Session& session) {
  const auto report = kv::StoreCheck::run(store, session);
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_TRUE(report->clean()) << report->problems.front();
}

struct OpenStore {
  explicit OpenStore(const StoreShape& shape = StoreShape())
      : OpenStore(std::move(*MemoryDisk::create(Sectors::from_bytes(shape.disk_bytes))),
                  shape.ring_bytes) {}
  OpenStore(std::unique_ptr<BlockDevice> empty, uint64_t ring_bytes) : disk(std::move(empty)) {
    EXPECT_TRUE(kv::TreeStore::create(*disk, {.ring_bytes = ring_bytes}));
    reopen();
  }

  // As after a crash: what was committed and not carried into the trees is in the ring.
  void reopen() {
    session.reset();
    store.reset();
    store = std::move(*kv::TreeStore::open(*disk, {.background = false}));
    session = std::move(*store->session());
  }

  Result<> put(const std::string& key, const std::string& value) {
    return test::put(*session, key, value);
  }
  Result<> remove(const std::string& key) {
    return session->with_tx([&](kv::Transaction& tx) { return tx.remove(kv::kDefaultTree, key); });
  }

  void expect_clean() { test::expect_clean(*store, *session); }

  std::unique_ptr<BlockDevice> disk;
  std::unique_ptr<kv::TreeStore> store;
  std::unique_ptr<kv::Session> session;
};

}  // namespace splitring::test
