// Store through libxenstore against the emulated host's server: both ends as they run.
#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <thread>

#include "tests/support/xenbus/served_store.h"
#include "xenbus/xen_store.h"

namespace splitring {
namespace {

using test::ServedStore;
using test::wait_event;

Errc code_of(const auto& result) { return result.error().code; }

TEST(StoreClient, ReadsWhatItWrote) {
  ServedStore host;
  const auto store = host.open(0);
  ASSERT_TRUE(store->now().write("/tool/a/b", std::string("x\0y", 3)));
  EXPECT_EQ(store->now().read("/tool/a/b").value(), std::string("x\0y", 3));
  EXPECT_EQ(store->now().read("/tool/a").value(), "");
  EXPECT_EQ(store->now().list("/tool").value(), std::vector<std::string>{"a"});
  EXPECT_TRUE(store->now().list("/tool/a/b").value().empty());
  ASSERT_TRUE(store->now().remove("/tool/a"));
  EXPECT_EQ(code_of(store->now().read("/tool/a/b")), Errc::kNotFound);
  EXPECT_TRUE(store->now().remove("/tool/a"));
  EXPECT_EQ(code_of(store->now().remove("/tool/a/b")), Errc::kNotFound);
}

TEST(StoreClient, RelativePathsAreBelowTheDomainsHome) {
  ServedStore host({5});
  const auto guest = host.open(5);
  EXPECT_EQ(guest->now().read("domid").value(), "5");
  ASSERT_TRUE(guest->now().write("device/x", "1"));
  EXPECT_EQ(host.open(0)->now().read("/local/domain/5/device/x").value(), "1");
  EXPECT_EQ(guest->domain_path(DomId{7}).value(), "/local/domain/7");
}

TEST(StoreClient, PermissionsTravelBothWays) {
  using enum StorePermission::Rights;
  ServedStore host({5});
  const auto store = host.open(0);
  const std::vector<StorePermission> permissions{
      {DomId{5}, kNone}, {DomId{0}, kRead}, {DomId{7}, kWrite}, {DomId{9}, kBoth}};
  ASSERT_TRUE(store->now().write("/tool/a", ""));
  ASSERT_TRUE(store->now().set_permissions("/tool/a", permissions));
  EXPECT_EQ(store->now().permissions("/tool/a").value(), permissions);
  EXPECT_TRUE(host.open(5)->now().write("/tool/a", "mine"));
  EXPECT_EQ(code_of(host.open(5)->now().read("/local/domain/0/domid")), Errc::kPermission);
}

TEST(StoreClient, WatchFiresAtOnceThenForEveryChangeBelow) {
  ServedStore host({5});
  const auto store = host.open(0);
  const auto guest = host.open(5);
  ASSERT_TRUE(store->watch("/local/domain/5/device", "token"));
  EXPECT_EQ(wait_event(*store).path, "/local/domain/5/device");
  ASSERT_TRUE(guest->now().write("device/vbd/1/state", "1"));
  const StoreEvent event = wait_event(*store);
  EXPECT_EQ(event.path, "/local/domain/5/device/vbd/1/state");
  EXPECT_EQ(event.token, "token");
  ASSERT_TRUE(store->unwatch("/local/domain/5/device", "token"));
  ASSERT_TRUE(guest->now().write("device/vbd/1/state", "2"));
  ASSERT_TRUE(store->now().read("/local/domain/5/device/vbd/1/state"));
  EXPECT_FALSE(store->next_event());
  EXPECT_EQ(code_of(store->unwatch("/local/domain/5/device", "token")), Errc::kNotFound);
}

TEST(StoreClient, RelativeWatchTellsRelativePaths) {
  ServedStore host({5});
  const auto guest = host.open(5);
  ASSERT_TRUE(guest->watch("device", "t"));
  EXPECT_EQ(wait_event(*guest).path, "device");
  ASSERT_TRUE(host.open(0)->now().write("/local/domain/5/device/vbd", ""));
  EXPECT_EQ(wait_event(*guest).path, "device/vbd");
}

TEST(StoreClient, DescriptorIsReadableWhileEventsWait) {
  ServedStore host;
  const auto store = host.open(0);
  const auto readable = [&] {
    pollfd source{store->fd(), POLLIN, 0};
    return poll(&source, 1, 0) > 0;
  };
  for (const char* path : {"/tool/a", "/tool/b", "/tool/c"}) ASSERT_TRUE(store->watch(path, "t"));
  // The answer to a read comes behind the events, so all three are here.
  ASSERT_TRUE(store->now().read("/tool"));
  // A failure looks for events too; it must not hide them.
  EXPECT_EQ(code_of(store->now().read("//")), Errc::kInvalid);
  for (int i = 0; i < 3; i++) {
    EXPECT_TRUE(readable());
    EXPECT_TRUE(store->next_event());
  }
  EXPECT_FALSE(store->next_event());
  EXPECT_FALSE(readable());
}

TEST(StoreClient, TellsOfDomainsThatComeAndGo) {
  ServedStore host;
  const auto store = host.open(0);
  ASSERT_TRUE(store->watch("@introduceDomain", "in"));
  EXPECT_EQ(wait_event(*store).path, "@introduceDomain");
  ASSERT_TRUE(store->watch("@releaseDomain", "out"));
  EXPECT_EQ(wait_event(*store).path, "@releaseDomain");
  EXPECT_FALSE(store->is_introduced(DomId{5}).value());
  host.introduce(5);
  EXPECT_EQ(wait_event(*store).token, "in");
  EXPECT_TRUE(store->is_introduced(DomId{5}).value());
  host.release(5);
  EXPECT_EQ(wait_event(*store).token, "out");
  EXPECT_FALSE(store->is_introduced(DomId{5}).value());
}

TEST(StoreClient, ReleaseClosesTheDomainsConnections) {
  ServedStore host({5});
  const auto guest = host.open(5);
  ASSERT_TRUE(guest->now().read("domid"));
  host.release(5);
  EXPECT_EQ(code_of(guest->now().read("domid")), Errc::kClosed);
  EXPECT_FALSE(open_xen_store(host.socket(5)));
}

TEST(StoreClient, ListsDirectoriesThatDoNotFitAFrame) {
  ServedStore host;
  const auto store = host.open(0);
  std::vector<std::string> names;
  for (int i = 0; i < 3000; i++) {
    names.push_back("entry-" + std::to_string(10000 + i));
    ASSERT_TRUE(store->now().write("/tool/many/" + names.back(), ""));
  }
  EXPECT_EQ(store->now().list("/tool/many").value(), names);
}

TEST(StoreClient, TransactionIsRunAgainAfterAConflict) {
  ServedStore host;
  const auto store = host.open(0);
  const auto other = host.open(0);
  ASSERT_TRUE(store->now().write("/tool/n", "1"));
  int runs = 0;
  ASSERT_TRUE(store->transact([&](StoreView& view) -> Result<> {
    const std::string value = TRY(view.read("/tool/n"));
    if (runs++ < 3) TRY_VOID(other->now().write("/tool/n", value + "1"));
    return view.write("/tool/n", value + "2");
  }));
  EXPECT_EQ(runs, 4);
  EXPECT_EQ(store->now().read("/tool/n").value(), "11112");
}

TEST(StoreClient, X4_GivesUpATransactionThatConflictsForEver) {
  ServedStore host;
  const auto store = host.open(0);
  const auto other = host.open(0);
  int runs = 0;
  const auto result = store->transact([&](StoreView& view) -> Result<> {
    TRY_VOID(view.write("/tool/n", "mine"));
    return other->now().write("/tool/n", std::to_string(runs++));
  });
  EXPECT_EQ(code_of(result), Errc::kConflict);
  EXPECT_EQ(runs, kTransactionAttemptsMax);
}

TEST(StoreClient, ErrorOfATransactionsBodyAborts) {
  ServedStore host;
  const auto store = host.open(0);
  const auto result = store->transact([&](StoreView& view) -> Result<> {
    TRY_VOID(view.write("/tool/n", "mine"));
    return fail(Errc::kBusy, "changed my mind");
  });
  EXPECT_EQ(code_of(result), Errc::kBusy);
  EXPECT_EQ(code_of(store->now().read("/tool/n")), Errc::kNotFound);
}

TEST(StoreClient, X6_TransactionReadsOneMomentWhateverOthersWrite) {
  ServedStore host;
  const auto store = host.open(0);
  const auto other = host.open(0);
  ASSERT_TRUE(store->now().write("/tool/a", "old"));
  ASSERT_TRUE(store->now().write("/tool/b", "old"));
  std::string seen;
  bool first = true;
  ASSERT_TRUE(store->transact([&](StoreView& view) -> Result<> {
    seen += TRY(view.read("/tool/a"));
    if (std::exchange(first, false)) {
      TRY_VOID(other->now().write("/tool/a", "new"));
      TRY_VOID(other->now().write("/tool/b", "new"));
    }
    seen += "," + TRY(view.read("/tool/b")) + ";";
    return {};
  }));
  // The first run saw the old pair and lost; the second saw the new pair.
  EXPECT_EQ(seen, "old,old;new,new;");
}

TEST(StoreClient, X12_ServerThatGoesAwayIsToldAsClosed) {
  auto host = std::make_unique<ServedStore>();
  const auto idle = host->open(0);
  const auto watching = host->open(0);
  ASSERT_TRUE(watching->watch("/tool", "t"));
  EXPECT_EQ(wait_event(*watching).token, "t");
  host->stop();
  pollfd source{watching->fd(), POLLIN, 0};
  EXPECT_GT(poll(&source, 1, 60'000), 0);  // it shows without a request
  EXPECT_FALSE(watching->next_event());
  EXPECT_EQ(poll(&source, 1, 0), 0);  // and does not spin a poller
  for (const auto& store : {idle.get(), watching.get()}) {
    EXPECT_EQ(code_of(store->now().read("/tool")), Errc::kClosed);
    EXPECT_EQ(code_of(store->now().write("/tool", "")), Errc::kClosed);
    EXPECT_EQ(code_of(store->watch("/tool", "again")), Errc::kClosed);
    EXPECT_EQ(code_of(store->transact([](StoreView&) -> Result<> { return {}; })), Errc::kClosed);
    EXPECT_EQ(code_of(store->is_introduced(DomId{0})), Errc::kClosed);
  }
}

TEST(StoreClient, X12_ReopensAndWatchesAgainAfterARestart) {
  auto host = std::make_unique<ServedStore>();
  auto store = host->open(0);
  ASSERT_TRUE(store->now().write("/tool/a", "1"));
  host = std::make_unique<ServedStore>();
  EXPECT_EQ(code_of(store->now().read("/tool/a")), Errc::kClosed);
  store = host->open(0);
  ASSERT_TRUE(store->watch("/tool/a", "t"));
  EXPECT_EQ(wait_event(*store).path, "/tool/a");
  EXPECT_EQ(code_of(store->now().read("/tool/a")), Errc::kNotFound);
}

TEST(StoreClient, NobodyThereIsAnError) {
  const auto store = open_xen_store("/nonexistent/store");
  ASSERT_FALSE(store);
  EXPECT_EQ(code_of(store), Errc::kNotFound);
}

TEST(StoreClient, QuotasAreLimits) {
  ServedStore host({5}, {.nodes = 10, .watches = 2, .node_bytes = 100});
  const auto guest = host.open(5);
  EXPECT_EQ(code_of(guest->now().write("big", std::string(200, 'x'))), Errc::kLimit);
  EXPECT_EQ(code_of(guest->now().write("big", std::string(5000, 'x'))), Errc::kLimit);
  EXPECT_EQ(code_of(guest->now().write("a/b/c/d/e/f/g/h/i/j", "")), Errc::kLimit);
  EXPECT_TRUE(guest->watch("a", "1"));
  EXPECT_TRUE(guest->watch("a", "2"));
  EXPECT_EQ(code_of(guest->watch("a", "3")), Errc::kLimit);
}

TEST(StoreClient, ServesManyThreadsEachWithItsOwnStore) {
  ServedStore host;
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  ASSERT_TRUE(host.open(0)->now().write("/tool/sum", ""));
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; i++) {
    threads.emplace_back([&] {
      const auto store = host.open(0);
      for (int round = 0; round < kRounds;) {
        const auto result = store->transact([](StoreView& view) -> Result<> {
          return view.write("/tool/sum", TRY(view.read("/tool/sum")) + "+");
        });
        if (result) round++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(host.open(0)->now().read("/tool/sum").value().size(), size_t{kThreads * kRounds});
}

}  // namespace
}  // namespace splitring
