// The life of a device: a live Backend, a store, a toolstack's writes and a frontend by hand.
#include "tests/backend/live_device.h"

namespace splitring::backend {
namespace {

TEST(BackendDevice, ShakesHandsAsLinuxDoes) {
  LiveBackend live;
  LiveDevice device(live);
  EXPECT_EQ(device.node("feature-max-indirect-segments"), "256");
  EXPECT_EQ(device.node("multi-queue-max-queues"), "4");
  EXPECT_EQ(device.node("max-ring-page-order"), "4");
  EXPECT_EQ(device.node("feature-persistent"), "1");
  ASSERT_TRUE(device.connect());
  EXPECT_EQ(device.node("sectors"), "2048");
  EXPECT_EQ(device.node("sector-size"), "512");
  EXPECT_EQ(device.node("info"), "0");
  EXPECT_EQ(device.node("feature-flush-cache"), "1");
  EXPECT_EQ(device.node("feature-barrier"), "1");
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, StaysInInitWaitUntilTheScriptHasFinished) {
  LiveBackend live;
  LiveDevice device(live, "mem:1M", {{"script", "/etc/xen/scripts/block-splitring"}});
  device.guest->offer_rings();
  live.settle();
  EXPECT_EQ(device.node("state"), "2");
  live.write(device.path.backend_directory() + "/hotplug-status", "connected");
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, AFrontendMayGoStraightToConnected) {
  LiveBackend live;
  LiveDevice device(live);
  device.guest->make_rings({});
  device.guest->write_nodes(device.guest->nodes({}));
  device.guest->set_state(XenbusState::kConnected);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, ServesEveryRingSizeAndManyQueuesPersistentOrNot) {
  LiveBackend live;
  LiveDevice device(live);
  for (const bool persistent : {false, true}) {
    for (uint32_t order = 0; order <= 4; order++) {
      const uint32_t queues = 1 + order % 3;
      SCOPED_TRACE("order " + std::to_string(order));
      ASSERT_TRUE(
          device.connect({.queues = queues, .pages = 1U << order, .persistent = persistent}));
      EXPECT_EQ(device.node("feature-barrier"), queues == 1 ? "1" : "0");
      for (size_t queue = 0; queue < queues; queue++)
        EXPECT_EQ(device.guest->ask(read_request(1, 0, {device.guest->segment(0)}), queue).status,
                  kOkay);
      EXPECT_TRUE(device.serves());
      const auto report = live.backend->report();
      ASSERT_EQ(report.size(), 1U);
      EXPECT_EQ(report[0].queues, queues);
      EXPECT_EQ(report[0].ring_pages, 1U << order);
      EXPECT_EQ(report[0].persistent_grants, persistent);
      ASSERT_TRUE(device.disconnect());
    }
  }
}

TEST(BackendDevice, B8_ServesEveryAbiAndRefusesWhatIsNone) {
  LiveBackend live;
  LiveDevice device(live);
  for (const blkif::Abi abi : {blkif::Abi::kX86_64, blkif::Abi::kX86_32, blkif::Abi::kArm}) {
    ASSERT_TRUE(device.connect({.abi = abi}));
    EXPECT_TRUE(device.serves());
    ASSERT_TRUE(device.disconnect());
  }
  const RingShape none_said{.abi = blkif::Abi::kX86_32};
  device.guest->make_rings(none_said);
  FrontendNodes nodes = device.guest->nodes(none_said);
  nodes.protocol.reset();
  device.guest->write_nodes(nodes);
  device.guest->remove("protocol");
  device.guest->set_state(XenbusState::kInitialised);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_TRUE(device.serves());
  ASSERT_TRUE(device.disconnect());
  for (const char* name : {"", "x86_64", "X86_64-ABI", "x86_64-abi ", "riscv-abi"})
    EXPECT_TRUE(device.refused({}, [&] { device.guest->write("protocol", name); })) << name;
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B9_RefusesRingsThatAreNone) {
  LiveBackend live;
  LiveDevice device(live);
  HandGuest& guest = *device.guest;
  const DomainCounts before = live.held();
  const auto ring_ref = [&](const char* name, const char* value) {
    return [&guest, name, value] { guest.write(name, value); };
  };
  for (const char* ref : {"4294967295", "4294967296", "-1", "1x", " 1", "", "0x1"})
    EXPECT_TRUE(device.refused({}, ring_ref("ring-ref", ref))) << ref;
  EXPECT_TRUE(device.refused({}, [&] { guest.remove("ring-ref"); }));
  EXPECT_TRUE(device.refused({.pages = 4}, [&] { guest.remove("ring-ref3"); }));
  EXPECT_TRUE(device.refused({.pages = 4}, ring_ref("ring-ref3", "4294967295")));
  EXPECT_TRUE(device.refused({.pages = 2}, [&] {
    guest.write("ring-ref1", std::to_string(raw(guest.rings[0].pages->refs()[0])));
  }));
  for (const char* order : {"5", "32", "4294967295", "-1", "x"})
    EXPECT_TRUE(device.refused({.pages = 2}, ring_ref("ring-page-order", order))) << order;
  for (const char* pages : {"0", "3", "32"})
    EXPECT_TRUE(device.refused({.pages = 2}, [&] {
      guest.remove("ring-page-order");
      guest.write("num-ring-pages", pages);
    })) << pages;
  // A page that is granted, but only to be read; and one that another domain granted.
  const auto share = must(guest.host->open_grant_share());
  const auto read_only = must(share->share(DomId{0}, 1, Access::kReadOnly));
  EXPECT_TRUE(device.refused(
      {}, [&] { guest.write("ring-ref", std::to_string(raw(read_only->refs()[0]))); }));
  const auto to_another = must(share->share(DomId{2}, 1, Access::kReadWrite));
  EXPECT_TRUE(device.refused(
      {}, [&] { guest.write("ring-ref", std::to_string(raw(to_another->refs()[0]))); }));
  EXPECT_TRUE(live.wait_until_held(before)) << "pages stay mapped";
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
  EXPECT_EQ(device.node("error"), "");
}

TEST(BackendDevice, B10_RefusesNumbersOfQueuesThatAreNone) {
  LiveBackend live;
  LiveDevice device(live);
  const DomainCounts before = live.held();
  for (const char* number : {"0", "-1", "4294967296", "1x", "5", "65", ""})
    EXPECT_TRUE(device.refused({.queues = 2}, [&] {
      device.guest->write("multi-queue-num-queues", number);
    })) << number;
  EXPECT_TRUE(device.refused({.queues = 2}, [&] { device.guest->remove("queue-1"); }));
  EXPECT_TRUE(device.refused({.queues = 2}, [&] {
    device.guest->write("queue-1/ring-ref",
                        std::to_string(raw(device.guest->rings[0].pages->refs()[0])));
  })) << "two queues with one ring";
  EXPECT_TRUE(live.wait_until_held(before));
}

TEST(BackendDevice, B11_RefusesADoorbellThatIsNone) {
  LiveBackend live;
  LiveDevice device(live);
  HandGuest& guest = *device.guest;
  for (const char* port : {"", "0", "4294967295", "4294967296", "-1"})
    EXPECT_TRUE(device.refused({}, [&] { guest.write("event-channel", port); })) << port;
  EXPECT_TRUE(device.refused({}, [&] { guest.remove("event-channel"); }));
  const auto to_another = must(guest.host->offer_channel(DomId{2}));
  EXPECT_TRUE(device.refused(
      {}, [&] { guest.write("event-channel", std::to_string(raw(to_another->port()))); }));
  EXPECT_TRUE(device.refused({}, [&] { guest.rings[0].channel.reset(); }));
  const auto toolstack = live.machine.host(0);
  std::unique_ptr<EventChannel> taken;
  EXPECT_TRUE(device.refused({}, [&] {
    taken = must(toolstack->bind_channel(DomId{1}, guest.rings[0].channel->port()));
  }));
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B1_ABrokenRingClosesTheDeviceWithAReason) {
  LiveBackend live;
  LiveDevice device(live);
  ASSERT_TRUE(device.connect());
  const uint32_t impossible = 1U << 20;
  std::memcpy(device.guest->rings[0].pages->bytes().data(), &impossible, sizeof impossible);
  must(device.guest->rings[0].channel->notify());
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_NE(device.node("error").find("producer"), std::string::npos);
  ASSERT_TRUE(device.closed());
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, ReconnectsAHundredTimesAndHoldsNoMoreThanBefore) {
  LiveBackend live;
  LiveDevice device(live);
  const DomainCounts before = live.held();
  for (int i = 0; i < 100; i++) {
    ASSERT_TRUE(device.connect({.persistent = i % 2 == 0}));
    ASSERT_TRUE(device.serves());
    ASSERT_TRUE(device.disconnect());
    ASSERT_TRUE(live.wait_until_held(before)) << "after round " << i;
  }
}

TEST(BackendDevice, ClosesWhenItIsTakenOffline) {
  LiveBackend live;
  const DomainCounts before = live.held();
  LiveDevice device(live);
  ASSERT_TRUE(device.connect());
  live.ask_to_close(device.path);
  device.guest->set_state(XenbusState::kClosing);
  device.guest->set_state(XenbusState::kClosed);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosed));
  device.guest->set_state(XenbusState::kInitialising);
  live.settle();
  EXPECT_EQ(device.node("state"), "6") << "offline, it must not come back";
  live.remove(device.path);
  EXPECT_TRUE(live.wait_until_held(before));
  EXPECT_TRUE(live.wait_for_report([](const auto& reports) { return reports.empty(); }));
}

TEST(BackendDevice, ClosesWhenItIsTakenOfflineBeforeAnyFrontendCame) {
  LiveBackend live;
  LiveDevice device(live);
  live.ask_to_close(device.path);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosed));
}

TEST(BackendDevice, FinishesWhatIsInFlightBeforeItCloses) {
  LiveBackend live;
  LiveDevice device(live, "script:a");
  ASSERT_TRUE(device.connect());
  ScriptedDisk& disk = live.scripted("a");
  disk.withhold(true);
  for (uint64_t id = 0; id < 8; id++)
    device.guest->push(write_request(id, id * 8, {device.guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(8));
  device.guest->set_state(XenbusState::kClosing);
  live.settle();
  EXPECT_EQ(device.node("state"), "4") << "closed under requests";
  disk.withhold(false);
  EXPECT_EQ(device.guest->wait_for_answers(8).size(), 8U);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_TRUE(device.closed());
}

TEST(BackendDevice, SaysWhyAnImageCannotBeOpened) {
  LiveBackend live;
  const DevicePath path = LiveBackend::path();
  live.attach(path, "raw:/nowhere/disk.img");
  ASSERT_TRUE(live.wait_for_state(path, XenbusState::kClosing));
  EXPECT_NE(live.read(path.backend_directory() + "/error").find("/nowhere/disk.img"),
            std::string::npos);
  EXPECT_NE(live.backend->report().at(0).error, "");
  live.remove(path);
  live.attach(path, "mem:1M");
  EXPECT_TRUE(live.wait_for_state(path, XenbusState::kInitWait));
}

TEST(BackendDevice, B35_OpensNothingOutsideItsRoots) {
  const ScratchImage image(1U << 20);
  BackendOptions options;
  options.allowed_roots = {"/nowhere"};
  LiveBackend live(options);
  live.attach(LiveBackend::path(), image.uri());
  ASSERT_TRUE(live.wait_for_state(LiveBackend::path(), XenbusState::kClosing));
  EXPECT_NE(live.read(LiveBackend::path().backend_directory() + "/error").find("allow-root"),
            std::string::npos);
}

TEST(BackendDevice, OffersDiscardOnlyWhereTheToolstackAllowsIt) {
  LiveBackend live;
  LiveDevice yes(live, "script:a");
  ASSERT_TRUE(yes.connect());
  EXPECT_EQ(yes.node("feature-discard"), "1");
  LiveDevice no(live, "script:b", {{"discard-enable", "0"}}, 51728);
  ASSERT_TRUE(no.connect());
  EXPECT_EQ(no.node("feature-discard"), "0");
  no.guest->rings[0].frontend->push_discard(1, 0, 8);
  no.guest->push(read_request(2, 0, {no.guest->segment(0)}));
  for (const HandAnswer& answer : no.guest->wait_for_answers(2))
    EXPECT_EQ(answer.status, answer.id == 1 ? kUnsupported : kOkay);
}

TEST(BackendDevice, B20_AReadOnlyDiskSaysSoAndStaysAsItIs) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  LiveDevice device(live, image.uri(), {{"mode", "r"}});
  ASSERT_TRUE(device.connect());
  EXPECT_EQ(device.node("info"), "4");
  fill(device.guest->page(0), 1);
  EXPECT_EQ(device.guest->ask(write_request(1, 0, {device.guest->segment(0)})).status, kError);
  EXPECT_EQ(device.guest->ask(read_request(1, 0, {device.guest->segment(1)})).status, kOkay);
  EXPECT_EQ(device.guest->page(1)[100], std::byte{0});
}

TEST(BackendDevice, TellsAFrontendOfAResize) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  LiveDevice device(live, image.uri());
  ASSERT_TRUE(device.connect());
  EXPECT_EQ(device.node("sectors"), "2048");
  // Linux looks again when the state is written, though it is the same.
  const auto watcher = must(device.guest->host->open_store());
  must(watcher->watch(device.path.backend_directory() + "/state", "state"));
  while (!watcher->next_event()) std::this_thread::yield();  // the one that comes at once
  image.resize(2U << 20);
  EXPECT_TRUE(live.wait_for(device.path.backend_directory() + "/sectors",
                            [](const std::string& value) { return value == "4096"; }));
  EXPECT_TRUE(wait_until([&] { return watcher->next_event().has_value(); }));
  EXPECT_EQ(device.node("state"), "4");
  EXPECT_EQ(device.guest->ask(read_request(1, 4088, {device.guest->segment(0)})).status, kOkay);
}

// A backend that is killed says nothing of how far it came with its rings.
TEST(BackendDevice, TakesOverWhatABackendThatDiedLeft) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  LiveDevice device(live, image.uri());
  ASSERT_TRUE(device.connect());
  ASSERT_TRUE(device.serves());
  live.stop();
  EXPECT_EQ(device.node("state"), "4") << "it must leave the device to the next";
  live.forget_rest(device.path);
  live.start();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  ASSERT_TRUE(device.closed());
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

}  // namespace
}  // namespace splitring::backend
