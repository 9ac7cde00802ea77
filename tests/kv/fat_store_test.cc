#include "kv/fat_store.h"

#include <gtest/gtest.h>

#include "tests/support/fs/fat_test_volume.h"
#include "tests/support/kv/store_conformance.h"

namespace splitring::test {
namespace {

class FatStoreTest : public testing::TestWithParam<FatType> {
 protected:
  std::string names() {
    std::string all;
    for (const std::string& name : fat_.names()) all += name + ", ";
    return all;
  }
  static std::string all_bytes(kv::Value& value) {
    std::vector<std::byte> out(value.size() + 10);
    const auto count = value.read(0, out);
    return count ? std::string(reinterpret_cast<const char*>(out.data()), *count) : "<error>";
  }
  // A name that a value has while it is written; numbers that no earlier test has used up.
  static std::string aside(uint64_t number) {
    static const testing::TestInfo* last = nullptr;
    static uint64_t begin = 0;
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    if (std::exchange(last, test) != test) begin += 1'000'000;
    return "%aside-" + std::to_string(begin + number);
  }
  std::string keys() {
    std::string all;
    EXPECT_TRUE(store_.iter("", [&](const std::string& key, const kv::Entry&) {
      all += key + " ";
      return true;
    }));
    return all;
  }

  FatTestVolume fat_{16 << 20, {.type = GetParam()}};
  const std::unique_ptr<kv::FatStore> opened_ =
      std::move(*kv::FatStore::open(fat_.volume(), fat_.lane()));
  kv::FatStore& store_ = *opened_;
};

TEST_P(FatStoreTest, AValueKeepsTheBytesThatItWasOpenedOn) {
  ASSERT_TRUE(store_.write("k", "old"));
  const auto value = *store_.open("k");
  ASSERT_TRUE(store_.write("k", "newer"));
  ASSERT_TRUE(store_.set_partial("k", 5, " still"));
  EXPECT_EQ(all_bytes(*value), "old");
  EXPECT_EQ(store_.get("k").value_or("?"), "newer still");
}

TEST_P(FatStoreTest, DictionariesGoWithTheirLastValueUnlessTheyWereMade) {
  ASSERT_TRUE(fat_.mkdir("by hand"));
  ASSERT_TRUE(store_.make_dictionary("made"));
  for (const char* key : {"by hand/x", "made/x", "implied/deep/x"})
    ASSERT_TRUE(store_.write(key, "x"));
  ASSERT_TRUE(store_.rename("implied/deep/x", "implied/other/y"));
  EXPECT_EQ(keys(), "by hand/x implied/other/y made/x ");
  for (const char* key : {"by hand/x", "made/x", "implied/other/y"})
    ASSERT_TRUE(store_.remove(key));
  EXPECT_EQ(names(), "by hand, made, ");
  ASSERT_TRUE(store_.write("tree/a/b", "1"));
  ASSERT_TRUE(store_.write("tree/c", "2"));
  ASSERT_TRUE(store_.remove("tree"));
  EXPECT_EQ(keys(), "");
  fat_.close();
  EXPECT_EQ(fat_.fsck(), "");
}

TEST_P(FatStoreTest, ATransactionTestsAndSetsOneKey) {
  ASSERT_TRUE(store_.write("count", "1"));
  ASSERT_TRUE(store_.with_tx([](kv::WriteStore& tx) -> Result<> {
    const std::string before = TRY(tx.get("count"));
    if (before[0] != '1') return fail(Errc::kConflict, "not one");
    return tx.write("count", "2");
  }));
  EXPECT_EQ(store_.get("count").value_or("?"), "2");
  const auto two = store_.with_tx([](kv::WriteStore& tx) -> Result<> {
    TRY_VOID(tx.write("a", "1"));
    return tx.write("b", "1");
  });
  EXPECT_EQ(two.error().code, Errc::kUnsupported);
  EXPECT_EQ(keys(), "count ");
}

TEST_P(FatStoreTest, AStreamIsWrittenWholeOrNotAtAll) {
  const std::string value = noise(3'000'000, 3);
  size_t at = 0;
  ASSERT_TRUE(store_.write_stream("value", [&](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = std::min<size_t>({out.size(), value.size() - at, 70'000});
    std::memcpy(out.data(), value.data() + at, count);
    at += count;
    return count;
  }));
  EXPECT_TRUE(store_.get("value").value_or("?") == value);
  size_t calls = 0;
  const auto broken = [&](std::span<std::byte> out) -> Result<size_t> {
    if (++calls == 4) return fail(Errc::kClosed, "the sender left");
    return out.size();
  };
  EXPECT_EQ(store_.write_stream("value", broken).error().code, Errc::kClosed);
  EXPECT_TRUE(store_.get("value").value_or("?") == value);
  EXPECT_EQ(names(), "value, ");
}

TEST_P(FatStoreTest, WhatACutLeavesIsNoKeyAndIsCleared) {
  const std::string directory = aside(2);
  fat_.must_put(aside(1), "half a value");
  ASSERT_TRUE(fat_.mkdir(directory));
  fat_.must_put(directory + "/x", "half removed");
  fat_.must_put("%aside-", "no number");
  fat_.must_put("%41", "spelled as it need not be");
  ASSERT_TRUE(store_.write("100%", "percent"));
  ASSERT_TRUE(store_.write("dot.", "dot"));
  EXPECT_EQ(keys(), "100% dot. ");
  const std::string kept = "%41, %aside-, 100%25, dot%2E, ";
  EXPECT_NE(names(), kept);
  ASSERT_TRUE(kv::FatStore::open(fat_.volume(), fat_.lane()));
  EXPECT_EQ(names(), kept);
  // Whose number will not be given again, so that nobody takes it for such a remain.
  fat_.must_put(aside(0), "not ours to judge");
  ASSERT_TRUE(kv::FatStore::open(fat_.volume(), fat_.lane()));
  EXPECT_NE(names(), kept);
}

TEST_P(FatStoreTest, WhatAnotherStoreIsWritingStays) {
  bool opened = false;
  size_t left = 2;
  ASSERT_TRUE(store_.write_stream("value", [&](std::span<std::byte> out) -> Result<size_t> {
    opened = kv::FatStore::open(fat_.volume(), fat_.lane()).has_value();
    return left-- == 0 ? 0 : out.size();
  }));
  EXPECT_TRUE(opened);
  EXPECT_EQ(names(), "value, ");
}

TEST_P(FatStoreTest, AVolumeThatIsReadOnlyIsReadAsItIs) {
  fat_.must_put(aside(0), "half a value");
  ASSERT_TRUE(store_.write("k", "v"));
  fat_.close();
  fat_.mount({.read_only = true});
  const auto store = kv::FatStore::open(fat_.volume(), fat_.lane());
  ASSERT_TRUE(store);
  EXPECT_EQ((*store)->get("k").value_or("?"), "v");
  EXPECT_EQ((*store)->write("k", "w").error().code, Errc::kPermission);
}

INSTANTIATE_TEST_SUITE_P(Formats, FatStoreTest, testing::Values(FatType::kFat16, FatType::kExfat),
                         [](const auto& param) { return to_string(param.param); });

}  // namespace
}  // namespace splitring::test
