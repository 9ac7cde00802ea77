// Disks of a kind that other backends serve too: what is ours, and how it becomes ours.
#include <fcntl.h>
#include <sys/file.h>

#include "backend/handover.h"
#include "tests/backend/handed_over.h"
#include "xenbus/nodes.h"

namespace splitring::backend {
namespace {

const LiveBackend::Nodes kOurScript{{"script", "/etc/xen/scripts/block-splitring"}};

TEST(BackendHandover, LeavesADeviceOfAnotherScriptAlone) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "/srv/a.img", {{"script", "/etc/xen/scripts/block"}});
  live.attach(LiveBackend::path(1, 51728), "mem:1M", kOurScript);
  EXPECT_TRUE(live.wait_for_state(LiveBackend::path(1, 51728), XenbusState::kInitWait));
  live.settle();
  EXPECT_EQ(device.node("state"), "1");
  EXPECT_EQ(device.node("max-ring-page-order"), "");
  EXPECT_EQ(device.node("error"), "");
  EXPECT_EQ(live.backend->report().size(), 1U);
}

TEST(BackendHandover, RepeatsItsOfferOverThatOfTheBackendBefore) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "mem:1M", kOurScript);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.write("max-ring-page-order", "0");
  device.write("max-ring-pages", "1");
  device.write("multi-queue-max-queues", "2");
  device.write("feature-max-indirect-segments", "16");
  device.write(kHandoverNode, "1");
  EXPECT_TRUE(device.answered());
  EXPECT_EQ(device.node("max-ring-page-order"), "4");
  EXPECT_EQ(device.node("max-ring-pages"), "16");
  EXPECT_EQ(device.node("multi-queue-max-queues"), "4");
  EXPECT_EQ(device.node("feature-max-indirect-segments"), "256");
}

TEST(BackendHandover, KeepsWhatTheBackendBeforeHasPromised) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "mem:1M", kOurScript);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.write("multi-queue-max-queues", "6");
  device.write(kHandoverNode, "1");
  ASSERT_TRUE(device.answered());
  EXPECT_EQ(device.node("multi-queue-max-queues"), "6");
  HandGuest guest(live.guest(1), device.path);
  guest.offer_rings({.queues = 6});
  live.settle();
  EXPECT_EQ(device.node("state"), "2");
  device.write("hotplug-status", "connected");
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
}

TEST(BackendHandover, RefusesAPromiseThatItCannotKeep) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "mem:1M", kOurScript);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.write("feature-max-indirect-segments", "512");
  device.write(kHandoverNode, "1");
  EXPECT_TRUE(device.answered());
  EXPECT_NE(device.node("error").find("max_indirect_segments"), std::string::npos);
}

// libxl waits for InitWait and runs the script only then: the script has to find the reason.
TEST(BackendHandover, AnImageThatCannotBeOpenedIsToldToTheScript) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "raw:/nowhere/a.img", kOurScript);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.write(kHandoverNode, "1");
  ASSERT_TRUE(device.answered());
  EXPECT_NE(device.node("error").find("/nowhere/a.img"), std::string::npos);
  EXPECT_EQ(device.node("state"), "2");
  live.ask_to_close(device.path);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosed));
}

// What a restart for an upgrade is: the frontend's rings, ports and requests stay as they are.
TEST(BackendHandover, ASuccessorGoesOnWithTheSameRings) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, image.uri());
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  HandGuest guest(live.guest(1), device.path);
  guest.offer_rings({.queues = 2, .pages = 2, .persistent = true});
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  guest.set_state(XenbusState::kConnected);
  fill(guest.page(0), 1);
  ASSERT_EQ(guest.ask(write_request(1, 8, {guest.segment(0)})).status, kOkay);
  for (int i = 0; i < 3; i++) {
    live.stop();
    EXPECT_EQ(device.node(kRestNode), "1");
    guest.push(read_request(2, 8, {guest.segment(1)}));
    live.start();
    EXPECT_EQ(guest.wait_for_answers(1).at(0).id, 2U) << "what was sent meanwhile is answered";
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_EQ(device.node(kRestNode), "");
    EXPECT_TRUE(std::ranges::equal(guest.page(0), guest.page(1)));
  }
}

TEST(BackendHandover, AFreshDeviceDoesNotWaitForItsImageForEver) {
  const ScratchImage image(1U << 20);
  BackendOptions impatient;
  impatient.busy_patience = std::chrono::milliseconds(0);
  LiveBackend live(impatient);
  const UniqueFd other(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(other.get(), LOCK_SH), 0);
  live.attach(LiveBackend::path(), image.uri());
  EXPECT_TRUE(live.wait_for_state(LiveBackend::path(), XenbusState::kClosing));
}

TEST(BackendHandover, NoSuccessorTakesADiskInMemoryForTheOldOne) {
  LiveBackend live;
  HandedOver device(live);
  live.attach(device.path, "mem:1M");
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  HandGuest guest(live.guest(1), device.path);
  guest.offer_rings();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  guest.set_state(XenbusState::kConnected);
  live.stop();
  EXPECT_EQ(device.node(kRestNode), "");
  live.start();
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
}

TEST(BackendHandover, ServesSeveralKindsOfDirectory) {
  LiveBackend live;
  const DevicePath own{"splitring", DomId{0}, DomId{1}, 51744};
  live.attach(own, "mem:1M");
  live.attach(LiveBackend::path(), "mem:2M");
  EXPECT_TRUE(live.wait_for_state(own, XenbusState::kInitWait));
  EXPECT_TRUE(live.wait_for_state(LiveBackend::path(), XenbusState::kInitWait));
  live.remove(own);
  EXPECT_TRUE(live.wait_for_report([](const auto& reports) { return reports.size() == 1; }));
}

}  // namespace
}  // namespace splitring::backend
