// What a peer may write into the handshake's nodes, and what we make of it.

#include "xenbus/nodes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/xenbus/memory_store_view.h"

namespace splitring {
namespace {

const std::string kBack = "/local/domain/0/backend/vbd/7/51712";
const std::string kFront = "/local/domain/7/device/vbd/51712";

// Everything that is no decimal number of 32 bits.
const std::vector<std::string> kNoNumbers = {"",
                                             "-1",
                                             "+1",
                                             " 1",
                                             "1 ",
                                             "1x",
                                             "x",
                                             "0x1",
                                             "1.0",
                                             "1e3",
                                             "1\n",
                                             "１",
                                             "1,0",
                                             "∞",
                                             "4294967296",
                                             "18446744073709551616",
                                             "99999999999999999999999999",
                                             std::string("1\0", 2)};

class NodesTest : public ::testing::Test {
 protected:
  void front(const std::string& name, const std::string& value) {
    ASSERT_TRUE(store_.write(kFront + "/" + name, value));
  }
  void back(const std::string& name, const std::string& value) {
    ASSERT_TRUE(store_.write(kBack + "/" + name, value));
  }
  void no_front(const std::string& name) { ASSERT_TRUE(store_.remove(kFront + "/" + name)); }

  Result<FrontendNodes> read_front() { return read_frontend(store_, kFront, offer_); }

  // Refused as the peer's fault, by a message that names the node.
  template <class T>
  static void expect_refused(const Result<T>& result, const std::string& node) {
    ASSERT_FALSE(result) << node;
    EXPECT_EQ(result.error().code, Errc::kPeer) << result.error().what;
    EXPECT_NE(result.error().what.find(node), std::string::npos) << result.error().what;
  }

  // A frontend with one page, and one with `queues` queues of `pages` pages.
  void one_page() {
    front("ring-ref", "8");
    front("event-channel", "5");
  }
  void queues(uint32_t queues, uint32_t pages) {
    FrontendNodes nodes;
    for (uint32_t q = 0; q < queues; q++) {
      QueueNodes queue{.ring_refs = {}, .event_channel = Port{q + 1}};
      for (uint32_t p = 0; p < pages; p++) queue.ring_refs.push_back(GrantRef{q * pages + p});
      nodes.queues.push_back(queue);
    }
    front("state", "1");
    ASSERT_TRUE(write_frontend(store_, kFront, nodes));
  }

  MemoryStoreView store_;
  BackendOffer offer_;
};

// ---- the frontend's nodes ----------------------------------------------------------------------

TEST_F(NodesTest, FrontendNodesComeBackAsTheyWereWritten) {
  for (const uint32_t queue_count : {1U, 2U, 4U}) {
    for (const uint32_t pages : {1U, 2U, 4U, 8U, 16U}) {
      queues(queue_count, pages);
      const auto nodes = read_front();
      ASSERT_TRUE(nodes) << nodes.error().what;
      EXPECT_EQ(nodes->protocol, std::nullopt);
      EXPECT_FALSE(nodes->persistent_grants);
      ASSERT_EQ(nodes->queues.size(), queue_count);
      for (uint32_t q = 0; q < queue_count; q++) {
        EXPECT_EQ(nodes->queues[q].event_channel, Port{q + 1});
        ASSERT_EQ(nodes->queues[q].ring_refs.size(), pages);
        for (uint32_t p = 0; p < pages; p++)
          EXPECT_EQ(nodes->queues[q].ring_refs[p], GrantRef{q * pages + p});
      }
    }
  }
}

TEST_F(NodesTest, OneQueueOfOnePageIsWrittenTheWayEveryBackendKnows) {
  queues(1, 1);
  EXPECT_TRUE(store_.nodes().contains(kFront + "/ring-ref"));
  EXPECT_TRUE(store_.nodes().contains(kFront + "/event-channel"));
  for (const char* name : {"/ring-ref0", "/ring-page-order", "/num-ring-pages",
                           "/multi-queue-num-queues", "/queue-0/ring-ref"})
    EXPECT_FALSE(store_.nodes().contains(kFront + name)) << name;
}

TEST_F(NodesTest, SeveralQueuesWriteNothingAtTheTop) {
  queues(2, 4);
  for (const char* name : {"/ring-ref", "/ring-ref0", "/event-channel"})
    EXPECT_FALSE(store_.nodes().contains(kFront + name)) << name;
  EXPECT_TRUE(store_.nodes().contains(kFront + "/queue-1/ring-ref3"));
}

TEST_F(NodesTest, ALaterHandshakeFindsNothingOfAnEarlierOne) {
  queues(4, 16);
  queues(1, 1);
  EXPECT_FALSE(store_.nodes().contains(kFront + "/queue-0/event-channel"));
  EXPECT_FALSE(store_.nodes().contains(kFront + "/ring-page-order"));
  ASSERT_TRUE(remove_frontend(store_, kFront));
  EXPECT_EQ(store_.nodes().size(), 1U) << "only the state is left";
}

TEST_F(NodesTest, AForeignFrontendsWaysOfNamingOnePageAreRead) {
  one_page();
  EXPECT_TRUE(read_front());
  front("ring-page-order", "0");
  EXPECT_TRUE(read_front());
  no_front("ring-ref");
  front("ring-ref0", "8");
  EXPECT_TRUE(read_front());
  no_front("ring-page-order");
  front("num-ring-pages", "1");
  EXPECT_TRUE(read_front());
}

TEST_F(NodesTest, AQueueCountOfOneMayHaveADirectory) {
  front("multi-queue-num-queues", "1");
  front("queue-0/ring-ref", "8");
  front("queue-0/event-channel", "5");
  const auto nodes = read_front();
  ASSERT_TRUE(nodes) << nodes.error().what;
  EXPECT_EQ(nodes->queues.at(0).ring_refs.at(0), GrantRef{8});
}

TEST_F(NodesTest, B8_AProtocolIsPassedOnAsItIsUnlessItIsTooLong) {
  one_page();
  for (const char* name : {"x86_64-abi", "x86_32-abi", "arm-abi", "garbage", ""}) {
    front("protocol", name);
    const auto nodes = read_front();
    ASSERT_TRUE(nodes);
    EXPECT_EQ(nodes->protocol, name);
  }
  front("protocol", std::string(33, 'x'));
  expect_refused(read_front(), "/protocol");
}

TEST_F(NodesTest, B9_APageOrderBeyondTheOfferIsRefused) {
  queues(1, 16);
  ASSERT_TRUE(read_front());
  offer_.max_ring_page_order = 3;
  expect_refused(read_front(), "/ring-page-order");
  offer_.max_ring_page_order = 4;
  for (const char* order : {"5", "31", "32", "64", "255", "4294967295"}) {
    front("ring-page-order", order);
    expect_refused(read_front(), "/ring-page-order");
  }
  for (const auto& order : kNoNumbers) {
    front("ring-page-order", order);
    expect_refused(read_front(), "/ring-page-order");
  }
}

TEST_F(NodesTest, B9_PagesThatAreNoPowerOfTwoAreRefused) {
  for (int i = 0; i < 16; i++) front("ring-ref" + std::to_string(i), std::to_string(i));
  front("event-channel", "5");
  for (uint32_t pages = 0; pages < 40; pages++) {
    front("num-ring-pages", std::to_string(pages));
    const auto nodes = read_front();
    if (pages == 1 || pages == 2 || pages == 4 || pages == 8 || pages == 16) {
      ASSERT_TRUE(nodes) << nodes.error().what;
      EXPECT_EQ(nodes->queues[0].ring_refs.size(), pages);
    } else {
      expect_refused(nodes, "/num-ring-pages");
    }
  }
  front("num-ring-pages", "4294967295");
  expect_refused(read_front(), "/num-ring-pages");
}

TEST_F(NodesTest, B9_EveryRingRefMustBeThere) {
  for (const char* missing : {"ring-ref0", "ring-ref7", "ring-ref15", "event-channel"}) {
    queues(1, 16);
    no_front(missing);
    expect_refused(read_front(), missing);
  }
  queues(1, 1);
  no_front("ring-ref");
  expect_refused(read_front(), "/ring-ref");
}

TEST_F(NodesTest, B9_ARingRefIsA32BitNumberGivenOnce) {
  one_page();
  front("ring-ref", "4294967295");  // whether it may be mapped is for the grant table to say
  ASSERT_TRUE(read_front());
  for (const auto& value : kNoNumbers) {
    front("ring-ref", value);
    expect_refused(read_front(), "/ring-ref");
    front("ring-ref", "8");
    front("event-channel", value);
    expect_refused(read_front(), "/event-channel");
    front("event-channel", "5");
  }
  queues(1, 4);
  front("ring-ref3", "1");
  expect_refused(read_front(), "/ring-ref3");
}

TEST_F(NodesTest, B9_TwoQueuesShareNoRingPage) {
  queues(3, 2);
  ASSERT_TRUE(read_front());
  front("queue-2/ring-ref1", "0");
  expect_refused(read_front(), "/queue-2/ring-ref1");
}

TEST_F(NodesTest, B10_TheNumberOfQueuesIsAtLeastOneAndAtMostWhatWasOffered) {
  queues(4, 1);
  ASSERT_TRUE(read_front());
  for (const char* count : {"0", "5", "64", "65", "4294967295"}) {
    front("multi-queue-num-queues", count);
    expect_refused(read_front(), "/multi-queue-num-queues");
  }
  for (const auto& count : kNoNumbers) {
    front("multi-queue-num-queues", count);
    expect_refused(read_front(), "/multi-queue-num-queues");
  }
  offer_.max_queues = 1'000'000'000;  // even if somebody offered that
  front("multi-queue-num-queues", "65");
  expect_refused(read_front(), "/multi-queue-num-queues");
}

TEST_F(NodesTest, B10_EveryQueueMustBeThere) {
  queues(4, 2);
  no_front("queue-3");
  expect_refused(read_front(), "/queue-3/ring-ref0");
  queues(4, 2);
  no_front("queue-0");
  expect_refused(read_front(), "/queue-0/ring-ref0");
}

TEST_F(NodesTest, AFlagIsZeroOrOne) {
  one_page();
  front("feature-persistent", "1");
  EXPECT_TRUE(read_front()->persistent_grants);
  front("feature-persistent", "0");
  EXPECT_FALSE(read_front()->persistent_grants);
  for (const char* value : {"2", "", "yes", "-1"}) {
    front("feature-persistent", value);
    expect_refused(read_front(), "/feature-persistent");
  }
}

TEST_F(NodesTest, ALostStoreIsNotTakenForAMissingNode) {
  one_page();
  store_.fail_reading(kFront + "/protocol");
  const auto nodes = read_front();
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, Errc::kClosed);
}

TEST_F(NodesTest, NothingUnprintableOfAPeerReachesAMessage) {
  one_page();
  front("ring-ref", "1\n[critical] all is lost\x1b[2J\x7f\x80");
  const auto nodes = read_front();
  ASSERT_FALSE(nodes);
  for (const char c : nodes.error().what) EXPECT_TRUE(c >= ' ' && c < 0x7f) << nodes.error().what;
  front("ring-ref", std::string(1'000'000, 'x'));
  EXPECT_LT(read_front().error().what.size(), 300U);
}

// ---- the backend's nodes -----------------------------------------------------------------------

TEST_F(NodesTest, AnOfferComesBackAsItWasWritten) {
  const BackendOffer offer = {.max_queues = 7,
                              .max_ring_page_order = 2,
                              .max_indirect_segments = 64,
                              .persistent_grants = false};
  ASSERT_TRUE(write_offer(store_, kBack, offer));
  EXPECT_EQ(store_.nodes().at(kBack + "/max-ring-pages"), "4");
  const auto read = read_offer(store_, kBack);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->max_queues, 7U);
  EXPECT_EQ(read->max_ring_page_order, 2U);
  EXPECT_EQ(read->max_indirect_segments, 64U);
  EXPECT_FALSE(read->persistent_grants);
}

TEST_F(NodesTest, AnOfferWithoutIndirectRequestsTakesTheNodeAway) {
  ASSERT_TRUE(write_offer(store_, kBack, {}));
  ASSERT_TRUE(write_offer(store_, kBack, {.max_indirect_segments = 0}));
  EXPECT_FALSE(store_.nodes().contains(kBack + "/feature-max-indirect-segments"));
  EXPECT_EQ(read_offer(store_, kBack)->max_indirect_segments, 0U);
}

TEST_F(NodesTest, ABackendThatOffersNothingGetsTheProtocolsDefaults) {
  const auto offer = read_offer(store_, kBack);
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->max_queues, 1U);
  EXPECT_EQ(offer->max_ring_page_order, 0U);
  EXPECT_EQ(offer->max_indirect_segments, 0U);
  EXPECT_FALSE(offer->persistent_grants);
}

TEST_F(NodesTest, TheOlderNameOfTheRingSizeIsUnderstood) {
  for (const auto& [pages, order] : std::vector<std::pair<const char*, uint32_t>>{
           {"0", 0}, {"1", 0}, {"2", 1}, {"15", 3}, {"16", 4}, {"17", 4}, {"4294967295", 4}}) {
    back("max-ring-pages", pages);
    EXPECT_EQ(read_offer(store_, kBack)->max_ring_page_order, order) << pages;
  }
}

TEST_F(NodesTest, F15_AnOfferBeyondReasonIsClamped) {
  back("multi-queue-max-queues", "0");
  EXPECT_EQ(read_offer(store_, kBack)->max_queues, 1U);
  back("multi-queue-max-queues", "1000000000");
  EXPECT_EQ(read_offer(store_, kBack)->max_queues, kMaxQueues);
  back("max-ring-page-order", "255");
  EXPECT_EQ(read_offer(store_, kBack)->max_ring_page_order, 4U);
  back("feature-max-indirect-segments", "4294967295");
  EXPECT_EQ(read_offer(store_, kBack)->max_indirect_segments, 4096U);
}

TEST_F(NodesTest, F15_AnOfferThatIsNoNumberIsRefused) {
  for (const char* name : {"multi-queue-max-queues", "max-ring-page-order", "max-ring-pages",
                           "feature-max-indirect-segments", "feature-persistent"}) {
    for (const auto& value : kNoNumbers) {
      back(name, value);
      expect_refused(read_offer(store_, kBack), name);
    }
    ASSERT_TRUE(store_.remove(kBack + "/" + name));
  }
}

class DiskNodesTest : public NodesTest {
 protected:
  void SetUp() override {
    disk_.capacity = {80'000};
    disk_.flush = true;
    ASSERT_TRUE(write_disk(store_, kBack, disk_));
  }
  Result<DiskNodes> read() { return read_disk(store_, kBack); }

  DiskNodes disk_;
};

TEST_F(DiskNodesTest, ComeBackAsTheyWereWritten) {
  disk_ = {.capacity = {8'000},
           .block_bytes = 4096,
           .physical_block_bytes = 16384,
           .info = 1,
           .read_only = true,
           .flush = false,
           .barrier = true,
           .discard = true,
           .discard_granularity_bytes = 65536};
  ASSERT_TRUE(write_disk(store_, kBack, disk_));
  EXPECT_EQ(store_.nodes().at(kBack + "/sectors"), "8000") << "of 512 bytes";
  EXPECT_EQ(store_.nodes().at(kBack + "/info"), "5");
  const auto read_back = read();
  ASSERT_TRUE(read_back) << read_back.error().what;
  EXPECT_EQ(read_back->capacity, Sectors{8'000});
  EXPECT_EQ(read_back->block_bytes, 4096U);
  EXPECT_EQ(read_back->physical_block_bytes, 16384U);
  EXPECT_EQ(read_back->info, 5U);
  EXPECT_TRUE(read_back->read_only);
  EXPECT_FALSE(read_back->flush);
  EXPECT_TRUE(read_back->barrier);
  EXPECT_TRUE(read_back->discard);
  EXPECT_EQ(read_back->discard_granularity_bytes, 65536U);
}

TEST_F(DiskNodesTest, TheModeAloneMakesADiskReadOnly) {
  EXPECT_FALSE(read()->read_only);
  back("mode", "w");
  EXPECT_FALSE(read()->read_only);
  back("mode", "r");
  EXPECT_TRUE(read()->read_only);
}

TEST_F(DiskNodesTest, F15_SectorsAreAPositiveNumberThatHasAByteOffset) {
  for (const char* sectors : {"0", "-1", "18446744073709551615", "12abc", "", " 1",
                              "18014398509481985", "99999999999999999999"}) {
    back("sectors", sectors);
    expect_refused(read(), "/sectors");
  }
  back("sectors", "18014398509481984");  // 2^54: 8 EiB
  EXPECT_TRUE(read());
  back("sector-size", "4096");
  back("physical-sector-size", "4096");
  back("sectors", "80001");  // half a block at the end
  expect_refused(read(), "/sectors");
}

TEST_F(DiskNodesTest, F15_ASectorIsOf512Or4096Bytes) {
  for (const char* size : {"0", "1", "511", "513", "1024", "2048", "8192", "2147483648",
                           "4294967295", "4294967296", "-512", "512 "}) {
    back("sector-size", size);
    expect_refused(read(), "/sector-size");
  }
}

TEST_F(DiskNodesTest, F15_APhysicalSectorIsAPowerOfTwoOfSectors) {
  for (const char* size : {"0", "256", "513", "1536", "2147483648", "x"}) {
    back("physical-sector-size", size);
    expect_refused(read(), "/physical-sector-size");
  }
  ASSERT_TRUE(store_.remove(kBack + "/physical-sector-size"));
  EXPECT_EQ(read()->physical_block_bytes, 512U);
}

TEST_F(DiskNodesTest, F15_ADiscardGranularityIsAMultipleOfTheSector) {
  back("feature-discard", "1");
  EXPECT_EQ(read()->discard_granularity_bytes, 512U) << "by default one sector";
  for (const char* granularity : {"0", "1", "513", "-512", "", "4294967296"}) {
    back("discard-granularity", granularity);
    expect_refused(read(), "/discard-granularity");
  }
  back("feature-discard", "0");
  EXPECT_TRUE(read()) << "nobody looks at it without the feature";
}

TEST_F(DiskNodesTest, F15_WhatEveryDiskHasMustBeThere) {
  for (const char* name : {"sectors", "sector-size", "info"}) {
    ASSERT_TRUE(write_disk(store_, kBack, disk_));
    ASSERT_TRUE(store_.remove(kBack + "/" + name));
    expect_refused(read(), name);
  }
}

// ---- states and pieces -------------------------------------------------------------------------

TEST_F(NodesTest, StatesComeBackAsTheyWereWritten) {
  EXPECT_EQ(read_state(store_, kFront).value(), XenbusState::kUnknown);
  for (const auto state : {XenbusState::kInitialising, XenbusState::kConnected,
                           XenbusState::kClosed, XenbusState::kReconfigured}) {
    ASSERT_TRUE(write_state(store_, kFront, state));
    EXPECT_EQ(read_state(store_, kFront).value(), state);
  }
}

TEST_F(NodesTest, B30_AStateThatIsNoneIsUnknown) {
  for (const char* state : {"", " 4", "-1", "9", "44", "4\n"}) {
    front("state", state);
    EXPECT_EQ(read_state(store_, kFront).value(), XenbusState::kUnknown) << state;
  }
  store_.fail_reading(kFront + "/state");
  EXPECT_EQ(read_state(store_, kFront).error().code, Errc::kClosed);
}

TEST_F(NodesTest, ANumberIsAtMostWhatItMayBe) {
  front("n", "100");
  EXPECT_EQ(read_number(store_, kFront + "/n", 100).value(), 100U);
  expect_refused(read_number(store_, kFront + "/n", 99), "/n");
  EXPECT_EQ(read_number(store_, kFront + "/absent", 99).value(), std::nullopt);
}

}  // namespace
}  // namespace splitring
