#include "xenbus/store_path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace splitring {
namespace {

constexpr DomId kGuest{5};

TEST(StorePath, X2_RefusesWhatIsNotAPath) {
  for (const std::string bad : {"", "//", "/a//b", "/a/", "a/", "a//b", "/a b", "/a\n", "/a.b",
                                "@introduceDomain", "@other", "/ü", "/local/domain/", "*"}) {
    const auto path = resolve_store_path(bad, kGuest);
    ASSERT_FALSE(path) << bad;
    EXPECT_EQ(path.error(), StoreErrc::kInvalid) << bad;
  }
  EXPECT_FALSE(is_valid_store_path(std::string("/a\0b", 4)));
}

TEST(StorePath, AcceptsEveryCharacterOfANode) {
  EXPECT_TRUE(is_valid_store_path("/"));
  EXPECT_TRUE(is_valid_store_path("/azAZ09-_@/x"));
}

TEST(StorePath, RelativeIsBelowTheDomainsHome) {
  EXPECT_EQ(resolve_store_path("device/vbd", kGuest).value(), "/local/domain/5/device/vbd");
  EXPECT_EQ(resolve_store_path("/", kGuest).value(), "/");
}

TEST(StorePath, X2_LimitsAreExact) {
  EXPECT_TRUE(resolve_store_path("/" + std::string(3071, 'a'), kGuest));
  EXPECT_FALSE(resolve_store_path("/" + std::string(3072, 'a'), kGuest));
  EXPECT_TRUE(resolve_store_path(std::string(2048, 'a'), kGuest));
  EXPECT_FALSE(resolve_store_path(std::string(2049, 'a'), kGuest));
}

TEST(StorePath, ParentStopsAtTheRoot) {
  EXPECT_EQ(parent_store_path("/a/b"), "/a");
  EXPECT_EQ(parent_store_path("/a"), "/");
}

TEST(StorePath, SubtreeFollowsItsTopAtOnce) {
  std::vector<std::string> paths{"/a-b", "/a/c/d", "/a", "/",   "/a/c",
                                 "/a@",  "/a/c-d", "/b", "/a/-"};
  std::ranges::sort(paths, StorePathLess{});
  EXPECT_EQ(paths, (std::vector<std::string>{"/", "/a", "/a/-", "/a/c", "/a/c/d", "/a/c-d", "/a-b",
                                             "/a@", "/b"}));
  const StorePathLess less;
  EXPECT_TRUE(less("/a/c/d", store_subtree_end("/a")));
  EXPECT_FALSE(less("/a-b", store_subtree_end("/a")));
  EXPECT_TRUE(less("/zz", store_subtree_end("/")));
}

}  // namespace
}  // namespace splitring
