#include "xenbus/store_tree.h"

#include <gtest/gtest.h>

#include <string>

namespace splitring {
namespace {

using Rights = StorePermission::Rights;

constexpr StoreIdentity kHost{DomId{0}, std::nullopt};
constexpr StoreIdentity kGuest{DomId{5}, std::nullopt};
constexpr StoreIdentity kOther{DomId{6}, std::nullopt};

class StoreTreeTest : public testing::Test {
 protected:
  void make(const std::string& path, StorePermissions permissions, std::string_view value = "") {
    ASSERT_TRUE(tree_.write(kHost, nullptr, path, value));
    ASSERT_TRUE(tree_.set_permissions(kHost, nullptr, path, std::move(permissions)));
  }
  StoreErrc read_error(const StoreIdentity& who, const std::string& path) {
    return tree_.read(who, nullptr, path).error();
  }

  StoreTree tree_{StoreLimits{.nodes = 20, .permissions = 3, .transaction_nodes = 30}};
};

TEST_F(StoreTreeTest, OwnerMayDoAllOthersWhatTheListSays) {
  make("/n", {{DomId{5}, Rights::kNone}, {DomId{6}, Rights::kRead}}, "v");
  EXPECT_EQ(tree_.read(kGuest, nullptr, "/n").value()->value, "v");
  EXPECT_TRUE(tree_.write(kGuest, nullptr, "/n", "w"));
  EXPECT_EQ(tree_.read(kOther, nullptr, "/n").value()->value, "w");
  EXPECT_EQ(tree_.write(kOther, nullptr, "/n", "x").error(), StoreErrc::kAccess);
  EXPECT_EQ(tree_.remove(kOther, nullptr, "/n").error(), StoreErrc::kAccess);
  EXPECT_EQ(read_error({DomId{7}, std::nullopt}, "/n"), StoreErrc::kAccess);
}

TEST_F(StoreTreeTest, OnlyTheOwnerSetsPermissions) {
  make("/n", {{DomId{5}, Rights::kBoth}});
  EXPECT_TRUE(tree_.write(kOther, nullptr, "/n", "x"));
  EXPECT_EQ(tree_.set_permissions(kOther, nullptr, "/n", {{DomId{6}, Rights::kNone}}).error(),
            StoreErrc::kAccess);
  EXPECT_TRUE(tree_.set_permissions(kGuest, nullptr, "/n", {{DomId{5}, Rights::kNone}}));
  EXPECT_EQ(read_error(kOther, "/n"), StoreErrc::kAccess);
}

TEST_F(StoreTreeTest, ServantHasTheRightsOfItsTarget) {
  make("/n", {{DomId{5}, Rights::kNone}});
  const StoreIdentity servant{DomId{7}, DomId{5}};
  EXPECT_TRUE(tree_.write(servant, nullptr, "/n", "x"));
}

TEST_F(StoreTreeTest, X7_NobodyGivesHisNodeToAnother) {
  make("/n", {{DomId{5}, Rights::kNone}});
  EXPECT_EQ(tree_.set_permissions(kGuest, nullptr, "/n", {{DomId{6}, Rights::kNone}}).error(),
            StoreErrc::kNotPermitted);
}

TEST_F(StoreTreeTest, X7_WhoMakesANodeOwnsIt) {
  make("/n", {{DomId{0}, Rights::kWrite}, {DomId{6}, Rights::kRead}});
  ASSERT_TRUE(tree_.write(kGuest, nullptr, "/n/a/b", "forged"));
  const StorePermissions expected{{DomId{5}, Rights::kWrite}, {DomId{6}, Rights::kRead}};
  for (const char* path : {"/n/a", "/n/a/b"})
    EXPECT_EQ(tree_.read(kHost, nullptr, path).value()->permissions, expected);
  ASSERT_TRUE(tree_.write(kHost, nullptr, "/n/a/c", ""));
  EXPECT_EQ(tree_.read(kHost, nullptr, "/n/a/c").value()->permissions, expected);
}

TEST_F(StoreTreeTest, AbsenceIsToldOnlyToThoseWhoMayLook) {
  make("/open", {{DomId{0}, Rights::kRead}});
  make("/shut", {{DomId{0}, Rights::kNone}});
  EXPECT_EQ(read_error(kGuest, "/open/x/y"), StoreErrc::kNotFound);
  EXPECT_EQ(read_error(kGuest, "/shut/x/y"), StoreErrc::kAccess);
  EXPECT_EQ(tree_.write(kGuest, nullptr, "/open/x/y", "").error(), StoreErrc::kAccess);
}

TEST_F(StoreTreeTest, RemoveTakesAllBelowAndNothingBeside) {
  for (const char* path : {"/a/b/c", "/a/b-c", "/a/b/d/e", "/a/b0"})
    ASSERT_TRUE(tree_.write(kHost, nullptr, path, ""));
  ASSERT_TRUE(tree_.remove(kHost, nullptr, "/a/b"));
  EXPECT_EQ(tree_.list(kHost, nullptr, "/a").value().names,
            (std::vector<std::string>{"b-c", "b0"}));
  EXPECT_EQ(read_error(kHost, "/a/b/d/e"), StoreErrc::kNotFound);
  EXPECT_EQ(tree_.remove(kHost, nullptr, "/").error(), StoreErrc::kInvalid);
}

TEST_F(StoreTreeTest, GenerationOfADirectoryChangesWithItsList) {
  const auto generation = [&] { return tree_.list(kHost, nullptr, "/tool").value().generation; };
  const uint64_t before = generation();
  ASSERT_TRUE(tree_.write(kHost, nullptr, "/tool/a", ""));
  const uint64_t between = generation();
  ASSERT_TRUE(tree_.remove(kHost, nullptr, "/tool/a"));
  EXPECT_LT(before, between);
  EXPECT_LT(between, generation());
}

TEST_F(StoreTreeTest, QuotaOfNodesHoldsAndNothingIsMadeHalfway) {
  make("/n", {{DomId{5}, Rights::kNone}});  // one of the twenty
  ASSERT_TRUE(tree_.write(kGuest, nullptr, "/n/1/2/3/4/5/6/7/8/9", ""));
  EXPECT_EQ(tree_.node_count(DomId{5}), 10U);
  EXPECT_EQ(tree_.write(kGuest, nullptr, "/n/a/b/c/d/e/f/g/h/i/j/k", "").error(),
            StoreErrc::kNoSpace);
  EXPECT_EQ(tree_.list(kGuest, nullptr, "/n").value().names, std::vector<std::string>{"1"});
  EXPECT_TRUE(tree_.write(kGuest, nullptr, "/n/a/b/c/d/e/f/g/h/i/j", ""));
  EXPECT_EQ(tree_.write(kGuest, nullptr, "/n/x", "").error(), StoreErrc::kNoSpace);
  ASSERT_TRUE(tree_.remove(kGuest, nullptr, "/n/a"));
  EXPECT_TRUE(tree_.write(kGuest, nullptr, "/n/x", ""));
}

TEST_F(StoreTreeTest, QuotaOfNodesHoldsWithinAndAcrossTransactions) {
  make("/n", {{DomId{5}, Rights::kNone}});
  make("/n/x", {{DomId{5}, Rights::kNone}});
  make("/n/y", {{DomId{5}, Rights::kNone}});
  StoreTransaction* first = tree_.begin(kGuest);
  StoreTransaction* second = tree_.begin(kGuest);
  EXPECT_TRUE(tree_.write(kGuest, first, "/n/x/1/2/3/4/5/6/7/8/9", ""));
  EXPECT_TRUE(tree_.write(kGuest, second, "/n/y/1/2/3/4/5/6/7/8/9", ""));
  EXPECT_EQ(tree_.write(kGuest, second, "/n/y/a/2/3/4/5/6/7/8/9", "").error(), StoreErrc::kNoSpace);
  EXPECT_TRUE(tree_.commit(kGuest, first));
  // Both fitted alone.
  EXPECT_EQ(tree_.commit(kGuest, second).error(), StoreErrc::kNoSpace);
  EXPECT_EQ(tree_.node_count(DomId{5}), 12U);
}

TEST_F(StoreTreeTest, LongListsOfPermissionsAreRefused) {
  make("/n", {{DomId{5}, Rights::kNone}});
  const StorePermissions four(4, {DomId{5}, Rights::kNone});
  EXPECT_EQ(tree_.set_permissions(kGuest, nullptr, "/n", four).error(), StoreErrc::kNoSpace);
  EXPECT_TRUE(tree_.set_permissions(kHost, nullptr, "/n", four));
}

TEST_F(StoreTreeTest, TransactionIsSeenByOthersOnlyOnceCommitted) {
  StoreTransaction* transaction = tree_.begin(kHost);
  ASSERT_TRUE(tree_.write(kHost, transaction, "/tool/a/b", "1"));
  ASSERT_TRUE(tree_.remove(kHost, transaction, "/vm"));
  EXPECT_EQ(read_error(kHost, "/tool/a/b"), StoreErrc::kNotFound);
  EXPECT_TRUE(tree_.read(kHost, nullptr, "/vm"));
  EXPECT_EQ(tree_.list(kHost, transaction, "/").value().names,
            (std::vector<std::string>{"local", "tool"}));
  EXPECT_TRUE(tree_.take_changes().empty());
  ASSERT_TRUE(tree_.commit(kHost, transaction));
  EXPECT_EQ(tree_.read(kHost, nullptr, "/tool/a/b").value()->value, "1");
  EXPECT_EQ(read_error(kHost, "/vm"), StoreErrc::kNotFound);
  EXPECT_EQ(tree_.take_changes().size(), 2U);
}

TEST_F(StoreTreeTest, X6_TransactionSeesTheTreeOfItsBeginning) {
  make("/a", {{DomId{0}, Rights::kNone}}, "old");
  StoreTransaction* transaction = tree_.begin(kHost);
  ASSERT_TRUE(tree_.write(kHost, nullptr, "/a", "new"));
  ASSERT_TRUE(tree_.write(kHost, nullptr, "/a/made", ""));
  ASSERT_TRUE(tree_.remove(kHost, nullptr, "/vm"));
  EXPECT_EQ(tree_.read(kHost, transaction, "/a").value()->value, "old");
  EXPECT_TRUE(tree_.list(kHost, transaction, "/a").value().names.empty());
  EXPECT_TRUE(tree_.read(kHost, transaction, "/vm"));
  EXPECT_EQ(tree_.commit(kHost, transaction).error(), StoreErrc::kConflict);
}

TEST_F(StoreTreeTest, TransactionsOverDifferentNodesDoNotConflict) {
  make("/a", {{DomId{0}, Rights::kNone}});
  make("/b", {{DomId{0}, Rights::kNone}});
  StoreTransaction* first = tree_.begin(kHost);
  StoreTransaction* second = tree_.begin(kHost);
  ASSERT_TRUE(tree_.write(kHost, first, "/a/x", "1"));
  ASSERT_TRUE(tree_.write(kHost, second, "/b/x", "2"));
  EXPECT_TRUE(tree_.commit(kHost, first));
  EXPECT_TRUE(tree_.commit(kHost, second));
}

TEST_F(StoreTreeTest, TransactionConflictsOverAnAbsenceThatItSaw) {
  StoreTransaction* transaction = tree_.begin(kHost);
  EXPECT_FALSE(tree_.read(kHost, transaction, "/tool/a"));
  ASSERT_TRUE(tree_.write(kHost, nullptr, "/tool/a", ""));
  EXPECT_FALSE(tree_.read(kHost, transaction, "/tool/a"));
  EXPECT_EQ(tree_.commit(kHost, transaction).error(), StoreErrc::kConflict);
}

TEST_F(StoreTreeTest, X4_TransactionOverTooManyNodesIsRefused) {
  make("/n", {{DomId{0}, Rights::kRead}});
  StoreTransaction* transaction = tree_.begin(kGuest);
  StoreErrc last{};
  for (int i = 0; i < 40; i++)
    last = tree_.read(kGuest, transaction, "/n/" + std::to_string(i)).error();
  EXPECT_EQ(last, StoreErrc::kNoSpace);
  tree_.abort(transaction);
}

TEST(StoreTree, X4_TransactionThatOthersOverrunIsGivenUp) {
  StoreTree tree(StoreLimits{.transaction_nodes = 50});
  StoreTransaction* transaction = tree.begin(kGuest);
  for (int i = 0; i < 100; i++)
    ASSERT_TRUE(tree.write(kHost, nullptr, "/tool/" + std::to_string(i), ""));
  EXPECT_TRUE(transaction->previous().empty());
  EXPECT_EQ(tree.commit(kGuest, transaction).error(), StoreErrc::kConflict);
}

TEST(StoreTree, X8_TreeOf3000LevelsIsMadeListedAndRemoved) {
  StoreTree tree{StoreLimits{}};
  std::string deepest;
  for (int i = 0; i < 3000; i++) deepest += "/d";
  for (const bool within : {false, true}) {
    StoreTransaction* transaction = within ? tree.begin(kHost) : nullptr;
    ASSERT_TRUE(tree.write(kHost, transaction, deepest, "bottom"));
    EXPECT_EQ(tree.read(kHost, transaction, deepest).value()->value, "bottom");
    std::string path = "/d";
    for (int level = 1; level < 3000; level++, path += "/d")
      ASSERT_EQ(tree.list(kHost, transaction, path).value().names, std::vector<std::string>{"d"});
    ASSERT_TRUE(tree.remove(kHost, transaction, "/d"));
    EXPECT_FALSE(tree.read(kHost, transaction, deepest));
    if (within) {
      ASSERT_TRUE(tree.commit(kHost, transaction));
    }
  }
  EXPECT_EQ(tree.nodes().size(), 5U);
  EXPECT_EQ(tree.write(kGuest, nullptr, deepest, "").error(), StoreErrc::kAccess);
  ASSERT_TRUE(tree.write(kHost, nullptr, deepest, ""));
  ASSERT_TRUE(tree.set_permissions(kHost, nullptr, deepest, {{DomId{5}, Rights::kNone}}));
  tree.forget_domain(DomId{5});
  EXPECT_FALSE(tree.read(kHost, nullptr, deepest));
}

TEST_F(StoreTreeTest, X9_NothingOfADeadDomainIsLeft) {
  make("/local/domain/5", {{DomId{5}, Rights::kNone}});
  make("/local/domain/5/secret", {{DomId{0}, Rights::kNone}});
  make("/backend/5", {{DomId{1}, Rights::kNone}, {DomId{5}, Rights::kRead}}, "kept");
  make("/backend/5/child", {{DomId{1}, Rights::kNone}, {DomId{5}, Rights::kBoth}});
  make("/elsewhere/owned", {{DomId{5}, Rights::kNone}});
  make("/elsewhere/owned/below", {{DomId{1}, Rights::kNone}});
  tree_.forget_domain(DomId{5});
  EXPECT_EQ(tree_.node_count(DomId{5}), 0U);
  for (const auto& [path, node] : tree_.nodes())
    EXPECT_FALSE(mentions(node->permissions, DomId{5}));
  EXPECT_EQ(tree_.list(kHost, nullptr, "/").value().names,
            (std::vector<std::string>{"backend", "elsewhere", "local", "tool", "vm"}));
  EXPECT_TRUE(tree_.list(kHost, nullptr, "/elsewhere").value().names.empty());
  EXPECT_TRUE(tree_.list(kHost, nullptr, "/local/domain").value().names.empty());
  EXPECT_EQ(tree_.read(kHost, nullptr, "/backend/5").value()->value, "kept");
  EXPECT_EQ(read_error(kGuest, "/backend/5"), StoreErrc::kAccess);
}

TEST_F(StoreTreeTest, X9_OpenTransactionDoesNotBringRightsBack) {
  make("/n", {{DomId{0}, Rights::kNone}});
  StoreTransaction* transaction = tree_.begin(kHost);
  ASSERT_TRUE(tree_.set_permissions(kHost, transaction, "/n",
                                    {{DomId{0}, Rights::kNone}, {DomId{5}, Rights::kRead}}));
  tree_.forget_domain(DomId{5});
  EXPECT_EQ(tree_.commit(kHost, transaction).error(), StoreErrc::kConflict);
  EXPECT_EQ(read_error(kGuest, "/n"), StoreErrc::kAccess);
}

}  // namespace
}  // namespace splitring
