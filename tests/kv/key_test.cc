#include "kv/key.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace splitring::kv {
namespace {

TEST(Key, SlashesAreDropped) {
  EXPECT_EQ(*normal_key("//a///b/"), "a/b");
  EXPECT_EQ(*normal_key("/"), "");
  EXPECT_TRUE(is_normal_key("a/b"));
  EXPECT_TRUE(is_normal_key(""));
  EXPECT_FALSE(is_normal_key("a/b/"));
  EXPECT_FALSE(is_normal_key("/a"));
  EXPECT_FALSE(is_normal_key("a//b"));
}

TEST(Key, AnyOtherBytesStandForThemselves) {
  const std::string odd = "a b/\"\n\xff/...";
  EXPECT_EQ(*normal_key(odd), odd);
}

TEST(Key, H1_DotsAndNulAreRefused) {
  for (const std::string& key : {std::string("."), std::string("a/.."), std::string("../a"),
                                 std::string("a/./b"), std::string("a\0b", 3)})
    EXPECT_EQ(normal_key(key).error().code, Errc::kInvalid) << printable_key(key);
}

TEST(Key, K3_LengthAndDepthAreBounded) {
  EXPECT_TRUE(normal_key(std::string(kMaxKeyBytes, 'k')));
  EXPECT_FALSE(normal_key(std::string(kMaxKeyBytes + 1, 'k')));
  std::string deep = "k";
  while (std::count(deep.begin(), deep.end(), '/') + 1 < static_cast<long>(kMaxKeyDepth))
    deep += "/k";
  EXPECT_TRUE(normal_key(deep));
  EXPECT_FALSE(normal_key(deep + "/k"));
  EXPECT_FALSE(is_normal_key(deep + "/k"));
}

TEST(Key, H6_IsPrintedWithoutControlBytes) {
  EXPECT_EQ(printable_key("a\x1b[31m\"\n"), "\"a?[31m??\"");
  EXPECT_LT(printable_key(std::string(4000, 'x')).size(), 120U);
}

}  // namespace
}  // namespace splitring::kv
