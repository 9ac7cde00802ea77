// The life of the link: handshake, resize, backends that leave, come back, stall or lie.
#include <algorithm>
#include <future>

#include "tests/support/frontend/disk_test.h"

namespace splitring::testing {
namespace {

using frontend::Disk;
using frontend::DiskOptions;
using frontend::LinkPhase;

class Link : public DiskTest {
 protected:
  // What the backend has to do so that a disk is connected again.
  void come_back() {
    peer_->let_go();
    peer_->set_state(XenbusState::kClosed);
    peer_->wait_for_frontend(XenbusState::kInitialising);
    peer_->offer();
    peer_->accept();
    peer_->wait_for_frontend(XenbusState::kConnected);
  }
  // Connects while the test plays the backend; the error.
  std::future<Result<std::unique_ptr<Disk>>> start_connecting(const DiskOptions& options) {
    return std::async(std::launch::async,
                      [this, options] { return Disk::connect(*host_, kXvda, options); });
  }

  TestBuffer buffer_{4096};
};

TEST_F(Link, WithoutADiskTheErrorSaysHowToAttachOne) {
  const auto disk = Disk::connect(*host_, kXvda, {});
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code, Errc::kNotFound);
  EXPECT_NE(disk.error().what.find("splitring attach --domain 1 --vdev xvda"), std::string::npos)
      << disk.error().what;
}

TEST_F(Link, WithoutABackendTheErrorSaysWhatWasWaitedFor) {
  Peer peer(machine_, {});
  peer.write("hotplug-error", "no such file");
  DiskOptions options = hasty();
  options.connect_timeout = std::chrono::milliseconds(1);
  const auto disk = Disk::connect(*host_, kXvda, options);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code, Errc::kTimeout);
  for (const char* part : {"vbd:xvda", "InitWait", "/state is Initialising (1)", "no such file",
                           "splitringd", "domain 0"})
    EXPECT_NE(disk.error().what.find(part), std::string::npos) << part << ": " << disk.error().what;
  EXPECT_EQ(peer.frontend_state(), XenbusState::kInitialising);  // left as found
}

TEST_F(Link, NegotiatesAsManyLanesAsAllowed) {
  DiskOptions options = hasty();
  options.lanes = 8;
  start({.offer = {.max_queues = 3, .max_ring_page_order = 1}}, options);
  EXPECT_EQ(peer_->lane_count(), 3U);
  EXPECT_EQ(peer_->lane().pages.bytes().size(), 2U * kPageSize);
  EXPECT_EQ(peer_->read_frontend_node("protocol"), to_string(blkif::kNativeAbi));
  EXPECT_EQ(peer_->read_frontend_node("feature-persistent"), "1");
  auto second = must(disk_->open_queue({}));
  auto third = must(disk_->open_queue({}));
  const auto fourth = disk_->open_queue({});
  ASSERT_FALSE(fourth);
  EXPECT_EQ(fourth.error().code, Errc::kLimit);
  EXPECT_NE(fourth.error().what.find("(3)"), std::string::npos) << fourth.error().what;
  // One that was returned can be opened again, and works.
  second.reset();
  second = must(disk_->open_queue({}));
  TestRequest request;
  second->submit(request.data(Operation::kRead, {}, buffer_.bytes()));
  second->kick();
  peer_->answer(peer_->take(1), blkif::Status::kOkay, 1);
  eventually([&] { return second->poll() != 0; }, "an answer on the second lane");
  EXPECT_EQ(request.status, IoStatus::kOk);
}

TEST_F(Link, StaleStateOfADeadFrontendIsClosedFirst) {
  Peer peer(machine_, {});
  peer.set_state(XenbusState::kConnected);
  ASSERT_TRUE(
      must(host_->open_store())->now().write("/local/domain/1/device/vbd/51712/state", "4"));
  auto connecting = start_connecting(hasty());
  peer.wait_for_frontend(XenbusState::kClosing);
  peer.set_state(XenbusState::kClosing);
  peer.wait_for_frontend(XenbusState::kClosed);
  peer.set_state(XenbusState::kClosed);
  peer.wait_for_frontend(XenbusState::kInitialising);
  peer.offer();
  peer.accept();
  auto disk = must(connecting.get());
  EXPECT_EQ(disk->statistics().phase, LinkPhase::kConnected);
}

TEST_F(Link, ClosesInOrderAndRemovesItsNodes) {
  DiskOptions patient;
  patient.close_timeout = std::chrono::seconds(60);
  start({}, patient);
  lane_.reset();
  auto closing = std::async(std::launch::async, [this] { disk_.reset(); });
  peer_->wait_for_frontend(XenbusState::kClosing);
  peer_->set_state(XenbusState::kClosing);
  peer_->wait_for_frontend(XenbusState::kClosed);
  peer_->let_go();
  peer_->set_state(XenbusState::kClosed);
  closing.get();
  EXPECT_EQ(peer_->read_frontend_node("ring-ref0"), "");
  EXPECT_EQ(peer_->read_frontend_node("event-channel"), "");
}

TEST_F(Link, F17_ClosesWithADeadBackend) {
  start();
  lane_.reset();
  disk_.reset();  // returns, though nobody answers Closing
  EXPECT_EQ(peer_->frontend_state(), XenbusState::kClosed);
}

TEST_F(Link, F15_NodesThatMakeNoSenseAreRefused) {
  for (const auto& nonsense :
       std::vector<std::pair<std::string, std::string>>{{"sectors", "0"},
                                                        {"sectors", "-1"},
                                                        {"sectors", "18446744073709551615"},
                                                        {"sectors", "12abc"},
                                                        {"sectors", ""},
                                                        {"sector-size", "0"},
                                                        {"sector-size", "1"},
                                                        {"sector-size", "513"},
                                                        {"sector-size", "2147483648"},
                                                        {"physical-sector-size", "1000"},
                                                        {"discard-granularity", "0"}}) {
    const auto& node = nonsense.first;
    const auto& value = nonsense.second;
    EmulatedMachineThread machine(1);
    auto host = machine.host(1);
    Peer peer(
        machine,
        {.disk = {.capacity = Sectors{64}, .discard = true, .discard_granularity_bytes = 512}});
    auto disk = std::async(std::launch::async, [&] {
      DiskOptions options = hasty();
      options.connect_timeout = std::chrono::seconds(60);
      return Disk::connect(*host, kXvda, options);
    });
    peer.offer();
    peer.accept([&] { peer.write(node, value); });
    const auto result = disk.get();
    ASSERT_FALSE(result) << node << "=" << value;
    EXPECT_EQ(result.error().code, Errc::kPeer) << result.error().what;
    EXPECT_NE(result.error().what.find(node), std::string::npos) << result.error().what;
  }
}

TEST_F(Link, F15_BoastfulOffersAreClamped) {
  peer_ = std::make_unique<Peer>(machine_, PeerOptions{.offer = {.max_queues = 2}});
  DiskOptions options = hasty();
  options.lanes = 2;
  auto connecting = start_connecting(options);
  peer_->offer([&] {
    peer_->write("max-ring-page-order", "255");
    peer_->write("feature-max-indirect-segments", "4294967295");
    peer_->write("multi-queue-max-queues", "1000000000");
  });
  peer_->accept();
  disk_ = must(connecting.get());
  const auto now = disk_->statistics();
  EXPECT_EQ(now.lanes, 2U);
  EXPECT_EQ(now.ring_pages, 4U);
  EXPECT_EQ(now.max_segments, 256U);
  EXPECT_EQ(disk_->geometry().largest_request_bytes, 256U * kPageSize);
}

TEST_F(Link, F15_AnIndirectLimitBelowElevenIsNotUsed) {
  start({.offer = {.max_indirect_segments = 1}});
  EXPECT_EQ(disk_->statistics().max_segments, blkif::kMaxSegments);
}

TEST_F(Link, F16_ANewSizeHoldsAtOnce) {
  start();
  TestRequest before;
  send(before.data(Operation::kRead, Sectors{8000}, buffer_.bytes()));
  peer_->write("sectors", "4096");
  peer_->set_state(XenbusState::kConnected);
  eventually([&] { return disk_->geometry().capacity == Sectors{4096}; }, "the smaller size");
  TestRequest after;
  lane_->submit(after.data(Operation::kRead, Sectors{8000}, buffer_.bytes()));
  EXPECT_EQ(finish(after), IoStatus::kOutOfRange);
  // What was on its way may fail, and only that.
  peer_->answer(peer_->take(), blkif::Status::kError);
  EXPECT_EQ(finish(before), IoStatus::kIoError);
  peer_->write("sectors", "16384");  // by the node alone
  eventually([&] { return lane_->geometry().capacity == Sectors{16384}; }, "the larger size");
  peer_->write("sectors", "nonsense");
  eventually([&] { return !disk_->statistics().last_error.empty(); }, "a complaint");
  EXPECT_EQ(disk_->geometry().capacity, Sectors{16384});
}

TEST_F(Link, F18_ARefusedFlushIsNotDurableAndSaysSo) {
  start();
  TestRequest flush;
  for (uint64_t i = 1; i <= 2; i++) {  // and again: it is not forgotten
    send(flush.range(Operation::kFlush, {}, {}));
    const Wire::Request wire = peer_->take();
    EXPECT_EQ(wire.operation, blkif::kOpFlushDiskcache);
    EXPECT_EQ(wire.segment_count, 0);
    peer_->answer(wire, blkif::Status::kUnsupported);
    EXPECT_EQ(finish(flush), IoStatus::kUnsupported);
    EXPECT_EQ(disk_->statistics().refused_flushes, i);
    flush.completions = 0;
  }
  EXPECT_FALSE(disk_->poisoned());
}

TEST_F(Link, AFailedFlushPoisons) {
  start();
  TestRequest flush, write;
  send(flush.range(Operation::kFlush, {}, {}));
  peer_->answer(peer_->take(), blkif::Status::kError);
  EXPECT_EQ(finish(flush), IoStatus::kIoError);
  lane_->submit(write.data(Operation::kWrite, {}, buffer_.bytes()));
  EXPECT_EQ(finish(write), IoStatus::kPoisoned);
}

TEST_F(Link, WithoutACacheToFlushAFlushIsDoneAtOnce) {
  start({.disk = {.capacity = Sectors{8192}, .flush = false}});
  EXPECT_FALSE(disk_->geometry().needs_flush);
  TestRequest flush;
  send(flush.range(Operation::kFlush, {}, {}));
  EXPECT_EQ(flush.completions, 0);  // within poll() only
  EXPECT_FALSE(lane_->prepare_to_wait());
  EXPECT_EQ(lane_->poll(), 1U);
  EXPECT_EQ(flush.status, IoStatus::kOk);
  EXPECT_FALSE(peer_->try_take());
}

TEST_F(Link, ABackendWithBarriersOnlyIsFlushedByThem) {
  start({.disk = {.capacity = Sectors{8192}, .flush = false, .barrier = true}});
  EXPECT_TRUE(disk_->geometry().needs_flush);
  TestRequest flush;
  send(flush.range(Operation::kFlush, {}, {}));
  const Wire::Request wire = peer_->take();
  EXPECT_EQ(wire.operation, blkif::kOpWriteBarrier);
  peer_->answer(wire);
  EXPECT_EQ(finish(flush), IoStatus::kOk);
}

TEST_F(Link, F19_EachRequestCompletesOnceAcrossAReconnect) {
  start();
  TestBuffer large(1 << 20);
  TestRequest answered, partly, unanswered, waiting;
  send(answered.data(Operation::kWrite, {}, buffer_.bytes()));
  const Wire::Request first = peer_->take();
  // 2 MiB in two pieces: two ring requests of one BlockRequest, the first of which is answered.
  partly.list = {{large.bytes().data(), large.bytes().size()},
                 {large.bytes().data(), large.bytes().size()}};
  send(partly.scattered(Operation::kRead, {}));
  const Wire::Request part = peer_->take();
  send(unanswered.data(Operation::kRead, Sectors{16}, buffer_.bytes()));
  peer_->answer(first);
  peer_->answer(part);
  peer_->set_state(XenbusState::kClosing);  // nothing more will be answered
  wait_for_phase(LinkPhase::kWaiting);
  lane_->poll();
  EXPECT_EQ(answered.completions, 1);
  lane_->submit(waiting.data(Operation::kRead, Sectors{24}, buffer_.bytes()));
  lane_->kick();
  come_back();
  ServedPeer served(*peer_);
  lane_->drain();
  for (TestRequest* request : {&answered, &partly, &unanswered, &waiting}) {
    EXPECT_EQ(request->completions, 1);
    EXPECT_EQ(request->status, IoStatus::kOk);
  }
  EXPECT_EQ(disk_->statistics().reconnects, 1U);
  EXPECT_EQ(disk_->statistics().replayed_requests, 2U);
}

TEST_F(Link, F19_AnIdleLaneFollowsWhenItIsUsedAgain) {
  start();
  for (int round = 0; round < 3; round++) come_back();
  TestRequest request;
  lane_->submit(request.data(Operation::kWrite, {}, buffer_.bytes()));
  ServedPeer served(*peer_);
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(request.status, IoStatus::kOk);
  EXPECT_EQ(disk_->statistics().replayed_requests, 0U);
}

TEST_F(Link, F19_AFlushIsReplayedToo) {
  start();
  TestRequest flush;
  send(flush.range(Operation::kFlush, {}, {}));
  (void)peer_->take();
  come_back();
  peer_->answer(take_from_lane());
  EXPECT_EQ(disk_->statistics().replayed_requests, 1U);
  EXPECT_EQ(finish(flush), IoStatus::kOk);
  EXPECT_FALSE(disk_->poisoned());
}

TEST_F(Link, AClosingBackendMayFinishWhatItTook) {
  DiskOptions patient = hasty();
  patient.close_timeout = std::chrono::seconds(60);
  start({}, patient);
  TestRequest taken, held;
  send(taken.data(Operation::kWrite, {}, buffer_.bytes()));
  const Wire::Request wire = peer_->take();
  peer_->set_state(XenbusState::kClosing);
  wait_for_phase(LinkPhase::kDraining);
  lane_->poll();
  send(held.data(Operation::kWrite, Sectors{8}, buffer_.bytes()));
  EXPECT_FALSE(peer_->try_take());  // nothing new is sent to it
  peer_->answer(wire);
  EXPECT_EQ(finish(taken), IoStatus::kOk);
  peer_->wait_for_frontend(XenbusState::kClosed);
  come_back();
  peer_->answer(take_from_lane());
  EXPECT_EQ(finish(held), IoStatus::kOk);
  EXPECT_EQ(disk_->statistics().replayed_requests, 0U);
  peer_->set_state(XenbusState::kClosed);  // so that closing need not be waited for
}

TEST_F(Link, F17_ADiskTakenAwayFailsWhatWaits) {
  start();
  TestRequest taken;
  send(taken.data(Operation::kWrite, {}, buffer_.bytes()));
  peer_->write("online", "0");
  peer_->set_state(XenbusState::kClosing);
  peer_->wait_for_frontend(XenbusState::kClosed);
  peer_->set_state(XenbusState::kClosed);
  EXPECT_EQ(finish(taken), IoStatus::kGone);
  TestRequest later;
  lane_->submit(later.data(Operation::kRead, {}, buffer_.bytes()));
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(later.status, IoStatus::kGone);
}

TEST_F(Link, F17_ADirectoryThatVanishesFailsWhatWaits) {
  start();
  TestRequest taken;
  send(taken.data(Operation::kWrite, {}, buffer_.bytes()));
  peer_->remove_directory();
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(taken.status, IoStatus::kGone);
}

TEST_F(Link, F17_AfterTheTimeoutRequestsFailUntilItComesBack) {
  DiskOptions options = hasty();
  options.reconnect_timeout = std::chrono::milliseconds(1);
  start({}, options);
  TestRequest taken, later;
  send(taken.data(Operation::kWrite, {}, buffer_.bytes()));
  peer_->let_go();
  peer_->set_state(XenbusState::kInitialising);
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(taken.status, IoStatus::kGone);
  EXPECT_EQ(disk_->statistics().phase, LinkPhase::kGone);
  EXPECT_FALSE(disk_->statistics().last_error.empty());
  come_back();
  wait_for_phase(LinkPhase::kConnected);
  ServedPeer served(*peer_);
  lane_->submit(later.data(Operation::kRead, {}, buffer_.bytes()));
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(later.status, IoStatus::kOk);
}

TEST_F(Link, F17_StatesInNoOrderEndInAConnection) {
  start();
  for (const auto state :
       {XenbusState::kReconfigured, XenbusState::kInitialised, XenbusState::kUnknown,
        XenbusState::kClosing, XenbusState::kInitialising})
    peer_->set_state(state);
  peer_->write("state", "banana");
  come_back();
  ServedPeer served(*peer_);
  TestRequest request;
  lane_->submit(request.data(Operation::kRead, {}, buffer_.bytes()));
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(request.status, IoStatus::kOk);
}

TEST_F(Link, F14_ABackendThatNeverAnswersIsGivenUpByPolicy) {
  DiskOptions options = hasty();
  options.request_timeout = std::chrono::milliseconds(1);
  start({}, options);
  TestRequest request;
  send(request.data(Operation::kRead, {}, buffer_.bytes()));
  EXPECT_NE(lane_->wait(), 0U);
  EXPECT_EQ(request.status, IoStatus::kGone);
  wait_for_phase(LinkPhase::kBroken);
  EXPECT_NE(disk_->statistics().last_error.find("request timeout"), std::string::npos);
}

TEST_F(Link, F14_AnIdleDiskIsNotGivenUp) {
  DiskOptions options = hasty();
  options.request_timeout = std::chrono::milliseconds(1);
  start({}, options);
  // Many looks of the control thread later, which each change of the node makes:
  for (uint64_t sectors = 5000; sectors < 5020; sectors++) {
    peer_->write("sectors", std::to_string(sectors));
    eventually([&] { return disk_->geometry().capacity == Sectors{sectors}; }, "a look");
  }
  EXPECT_EQ(disk_->statistics().phase, LinkPhase::kConnected);
}

TEST_F(Link, F11_PagesThatTheBackendKeepsAreCountedAndNotReused) {
  start();
  // The frontend gives up its rings while the peer still holds them.
  peer_->set_state(XenbusState::kClosed);
  peer_->wait_for_frontend(XenbusState::kInitialising);
  eventually(
      [&] {
        lane_->poll();  // hands the ring back
        return disk_->statistics().quarantined_pages == 4;
      },
      "four ring pages in quarantine");
  peer_->let_go();
  come_back();
  peer_->write("sectors", "4096");  // the control thread looks around
  eventually([&] { return disk_->statistics().quarantined_pages == 0; }, "an empty quarantine");
}

TEST_F(Link, ADiskThatComesBackDifferentIsNotReconnected) {
  start();
  peer_->let_go();
  peer_->set_state(XenbusState::kClosed);
  peer_->wait_for_frontend(XenbusState::kInitialising);
  peer_->offer();
  peer_->accept([&] {
    peer_->write("sector-size", "4096");
    peer_->write("physical-sector-size", "4096");
  });
  eventually(
      [&] { return disk_->statistics().last_error.find("blocks of 4096") != std::string::npos; },
      "a refusal");
  EXPECT_EQ(disk_->statistics().phase, LinkPhase::kWaiting);
}

TEST_F(Link, F17_TheStoreMayDie) {
  start();
  machine_.stop();
  lane_.reset();
  disk_.reset();  // returns
  SUCCEED();
}

}  // namespace
}  // namespace splitring::testing
