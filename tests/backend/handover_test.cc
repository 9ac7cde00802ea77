// Disks of a kind that other backends serve too: what is ours, and how it becomes ours.
#include <gtest/gtest.h>

#include "tests/backend/backend_suite.h"
#include "tests/support/backend/hand_guest.h"
#include "tests/support/backend/live_backend.h"
#include "xenbus/nodes.h"

namespace splitring::backend {
namespace {

const LiveBackend::Nodes kOurScript{{"script", "/etc/xen/scripts/block-splitring"}};

struct HandedOver {
  explicit HandedOver(LiveBackend& backend) : live(backend) {}
  std::string node(const std::string& name) {
    return live.read(path.backend_directory() + "/" + name);
  }
  void write(const std::string& name, const std::string& value) {
    live.write(path.backend_directory() + "/" + name, value);
  }
  bool answered() {
    return live.wait_for(path.backend_directory() + "/" + kHandoverNode,
                         [](const std::string& value) { return value.empty(); });
  }

  LiveBackend& live;
  DevicePath path = LiveBackend::path();
};

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
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_NE(device.node("error").find("max_indirect_segments"), std::string::npos);
  EXPECT_TRUE(device.answered());
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
