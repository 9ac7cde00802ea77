#include "kv/path_store.h"

#include <gtest/gtest.h>

#include "blkimage/memory_disk.h"
#include "kv/tree/store.h"
#include "tests/support/kv/store_conformance.h"

namespace splitring::test {
namespace {

class PathStoreTest : public testing::Test {
 protected:
  PathStoreTest() {
    disk_ = std::move(*MemoryDisk::create(Sectors::from_bytes(16 << 20)));
    EXPECT_TRUE(kv::TreeStore::create(*disk_, {}));
    tree_store_ = std::move(*kv::TreeStore::open(*disk_, {.background = false}));
    session_ = std::move(*tree_store_->session());
    store_ = std::make_unique<kv::PathStore>(*session_, kv::kDefaultTree);
  }
  std::string keys() {
    std::string all;
    EXPECT_TRUE(store_->iter("", [&](const std::string& key, const kv::Entry&) {
      all += key + " ";
      return true;
    }));
    return all;
  }

  std::unique_ptr<MemoryDisk> disk_;
  std::unique_ptr<kv::TreeStore> tree_store_;
  std::unique_ptr<kv::Session> session_;
  std::unique_ptr<kv::PathStore> store_;
};

TEST_F(PathStoreTest, ATransactionSeesItsOwnWritesAndAFailureLeavesNothing) {
  ASSERT_TRUE(store_->write("a/b", "1"));
  const auto done = store_->with_tx([](kv::WriteStore& tx) -> Result<> {
    TRY_VOID(tx.write("a/c", "2"));
    TRY_VOID(tx.remove("a/b"));
    EXPECT_EQ(tx.get("a/c").value_or("?"), "2");
    EXPECT_FALSE(TRY(tx.exists("a/b")));
    EXPECT_EQ(TRY(tx.list("a")).size(), 1U);
    return fail(Errc::kConflict, "changed my mind");
  });
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(keys(), "a/b ");
}

TEST_F(PathStoreTest, AValueAndADictionaryDoNotShareAKey) {
  ASSERT_TRUE(store_->write("a/b", "1"));
  EXPECT_EQ(store_->write("a", "2").error().code, Errc::kInvalid);
  EXPECT_EQ(store_->write("a/b/c", "2").error().code, Errc::kInvalid);
  EXPECT_EQ(store_->write("", "2").error().code, Errc::kInvalid);
  EXPECT_EQ(store_->make_dictionary("a/b").error().code, Errc::kInvalid);
  EXPECT_EQ(keys(), "a/b ");
}

TEST_F(PathStoreTest, RenameMovesValuesAndDictionaries) {
  ASSERT_TRUE(store_->write("d/x", noise(200'000, 1)));
  ASSERT_TRUE(store_->write("d/sub/y", "y"));
  ASSERT_TRUE(store_->write("v", "old"));
  ASSERT_TRUE(store_->make_dictionary("e"));
  ASSERT_TRUE(store_->rename("d/x", "v"));
  EXPECT_EQ(store_->get("v").value_or("?"), noise(200'000, 1));
  ASSERT_TRUE(store_->rename("v", "e"));  // into it
  EXPECT_EQ(keys(), "d/sub/y e/v ");
  EXPECT_EQ(store_->rename("d", "d/sub/d").error().code, Errc::kInvalid);
  EXPECT_EQ(store_->rename("d", "e/v").error().code, Errc::kInvalid);
  EXPECT_EQ(store_->rename("nothing", "x").error().code, Errc::kNotFound);
  ASSERT_TRUE(session_->checkpoint());
  ASSERT_TRUE(store_->rename("d", "f"));
  ASSERT_TRUE(session_->checkpoint());
  EXPECT_EQ(keys(), "e/v f/sub/y ");
  EXPECT_EQ(store_->get("e/v").value_or("?"), noise(200'000, 1));
}

TEST_F(PathStoreTest, SetPartialAndAllocate) {
  ASSERT_TRUE(store_->allocate("big", 1'000'000));
  EXPECT_EQ(store_->allocate("big", 1).error().code, Errc::kExists);
  std::string expected(1'000'000, '\0');
  for (const uint64_t offset : {0, 131'070, 500'000, 999'990}) {
    const std::string bytes = noise(300, static_cast<uint32_t>(offset));
    ASSERT_TRUE(store_->set_partial("big", offset, bytes));
    if (expected.size() < offset + 300) expected.resize(offset + 300);
    expected.replace(offset, 300, bytes);
    EXPECT_TRUE(store_->get("big").value_or("?") == expected);
    ASSERT_TRUE(session_->checkpoint());
    EXPECT_TRUE(store_->get("big").value_or("?") == expected);
  }
  EXPECT_EQ(store_->get_partial("big", 131'000, 200).value_or("?"), expected.substr(131'000, 200));
  EXPECT_EQ(store_->set_partial("none", 0, "x").error().code, Errc::kNotFound);
  ASSERT_TRUE(store_->write("small", "abc"));
  ASSERT_TRUE(store_->set_partial("small", 5, "def"));
  EXPECT_EQ(store_->get("small").value_or("?"), std::string("abc\0\0def", 8));
  EXPECT_TRUE(store_->last_modified("small").value_or(std::nullopt).has_value());
}

TEST_F(PathStoreTest, AStreamIsWrittenWholeOrNotAtAll) {
  const uint64_t free = tree_store_->stat().free;
  for (const size_t bytes : {0, 10, 1024, 1025, 3'000'000}) {
    const std::string value = noise(bytes, 3);
    size_t at = 0;
    const auto source = [&](std::span<std::byte> out) -> Result<size_t> {
      const size_t count = std::min<size_t>({out.size(), value.size() - at, 70'000});
      std::memcpy(out.data(), value.data() + at, count);
      at += count;
      return count;
    };
    ASSERT_TRUE(store_->write_stream("value", source));
    EXPECT_TRUE(store_->get("value").value_or("?") == value);
  }
  size_t calls = 0;
  const auto broken = [&](std::span<std::byte> out) -> Result<size_t> {
    if (++calls == 4) return fail(Errc::kClosed, "the sender left");
    return out.size();
  };
  EXPECT_EQ(store_->write_stream("other", broken).error().code, Errc::kClosed);
  EXPECT_EQ(keys(), "value ");
  ASSERT_TRUE(store_->remove("value"));
  for (int i = 0; i < 3; i++) {  // what is freed rests for one
    ASSERT_TRUE(store_->write("x", std::to_string(i)));
    ASSERT_TRUE(session_->checkpoint());
  }
  EXPECT_GT(tree_store_->stat().free + 10, free);
}

TEST_F(PathStoreTest, AViewShowsWhatWasThereAndCannotBeChanged) {
  ASSERT_TRUE(store_->write("a", "1"));
  auto view = session_->view();
  kv::PathStore then(std::make_shared<kv::View>(std::move(*view)), kv::kDefaultTree);
  ASSERT_TRUE(store_->write("a", "2"));
  ASSERT_TRUE(session_->checkpoint());
  EXPECT_EQ(then.get("a").value_or("?"), "1");
  EXPECT_EQ(store_->get("a").value_or("?"), "2");
  EXPECT_EQ(then.write("a", "3").error().code, Errc::kPermission);
}

}  // namespace
}  // namespace splitring::test
