// What a transaction sees of itself, and leaves behind when it fails.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>

#include "tests/support/kv/open_store.h"
#include "tests/support/sanitized.h"

namespace splitring::test {
namespace {

using kv::kDefaultTree;
using kv::Session;
using kv::Transaction;
using kv::TreeStore;

uint64_t resident_bytes() {
  unsigned long all = 0;
  unsigned long resident = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(file, "%lu %lu", &all, &resident), 2);
  std::fclose(file);
  return uint64_t{resident} * 4096;
}

// Pages, a memtable that is frozen and one that is written to, all with some of the keys.
TEST(TreeStoreTransaction, ThoseThatFailGiveTheirMemoryBack) {
  OpenStore open;
  ASSERT_TRUE(open.put("kept", "before"));
  const uint64_t before = resident_bytes();
  for (int i = 0; i < 100'000; i++) {
    const auto done = open.session->with_tx([&](Transaction& tx) -> Result<> {
      TRY_VOID(tx.put(kDefaultTree, "key" + std::to_string(i), std::string(1000, 'x')));
      TRY_VOID(tx.put(kDefaultTree, "kept", "never"));
      return fail(Errc::kConflict, "no");
    });
    ASSERT_FALSE(done);
    if (i % 10'000 == 0) {
      ASSERT_TRUE(open.put("kept", std::to_string(i)));
    }
  }
  // A sanitizer keeps what was freed for a while.
  if (!kSanitized) {
    EXPECT_LT(resident_bytes() - before, uint64_t{48} << 20);
  }
  EXPECT_EQ(open.store->stat().memory_keys, 1U);
  std::string value;
  EXPECT_TRUE(*open.session->get(kDefaultTree, "kept", value));
  EXPECT_EQ(value, "90000");
  ASSERT_TRUE(open.session->checkpoint());
  EXPECT_EQ(*open.session->view()->count(kDefaultTree, {}), 1U);
}

// A view shows its state whatever becomes of the memory behind it.
TEST(TreeStoreTransaction, ThoseThatFailDisturbNoView) {
  OpenStore open;
  ASSERT_TRUE(open.put("a", "1"));
  kv::View then = std::move(*open.session->view());
  ASSERT_TRUE(open.put("a", "2"));
  ASSERT_TRUE(open.put("b", std::string(5000, 'b')));
  const auto other = std::move(*open.store->session());
  for (int i = 0; i < 20'000; i++)
    ASSERT_FALSE(other->with_tx([&](Transaction& tx) -> Result<> {
      TRY_VOID(tx.put(kDefaultTree, "a", std::string(1000, 'x')));
      return fail(Errc::kConflict, "no");
    }));
  ASSERT_TRUE(open.put("a", "3"));
  std::string value;
  kv::View now = std::move(*open.session->view());
  EXPECT_TRUE(*now.get(kDefaultTree, "a", value));
  EXPECT_EQ(value, "3");
  EXPECT_TRUE(*now.get(kDefaultTree, "b", value));
  EXPECT_EQ(value, std::string(5000, 'b'));
  EXPECT_EQ(*then.count(kDefaultTree, {}), 1U);
  EXPECT_TRUE(*then.get(kDefaultTree, "a", value));
  EXPECT_EQ(value, "1");
  ASSERT_TRUE(open.session->checkpoint());
  open.expect_clean();
}

TEST(TreeStoreTransaction, LongValuesReplacedOverAndOverNeverFillTheStore) {
  OpenStore open({.disk_bytes = uint64_t{32} << 20});
  const std::string other(size_t{4} << 20, 'o');
  ASSERT_TRUE(open.put("other", other));
  for (int i = 0; i < 40; i++) {
    size_t left = size_t{4} << 20;
    auto staged = open.session->stage([&](std::span<std::byte> out) -> Result<size_t> {
      const size_t count = std::min(out.size(), left);
      std::fill_n(out.begin(), count, static_cast<std::byte>(i));
      left -= count;
      return count;
    });
    ASSERT_TRUE(staged) << i << ": " << staged.error().what;
    const auto done = open.session->with_tx(
        [&](Transaction& tx) { return tx.put_staged(kDefaultTree, "key", std::move(*staged)); });
    ASSERT_TRUE(done) << i << ": " << done.error().what;
  }
  std::string value;
  EXPECT_TRUE(*open.session->get(kDefaultTree, "key", value));
  EXPECT_EQ(value, std::string(size_t{4} << 20, static_cast<char>(39)));
  EXPECT_TRUE(*open.session->get(kDefaultTree, "other", value));
  EXPECT_EQ(value, other);
}

TEST(TreeStoreTransaction, AValueThatFitsNowhereIsRefusedAndLeavesTheStoreAsItWas) {
  OpenStore open;
  ASSERT_TRUE(open.put("key", "value"));
  size_t left = size_t{32} << 20;
  const auto staged = open.session->stage([&](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = std::min(out.size(), left);
    left -= count;
    return count;
  });
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, Errc::kNoSpace);
  EXPECT_TRUE(open.put("key", std::string(1 << 20, 'x')));
}

}  // namespace
}  // namespace splitring::test
