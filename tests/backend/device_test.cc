// The life of a device: a live Backend, a store, a toolstack's writes and a frontend by hand.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "tests/backend/backend_suite.h"
#include "tests/support/backend/hand_guest.h"
#include "tests/support/backend/live_backend.h"

namespace splitring::backend {
namespace {

// A device of guest 1 that has been attached, and its frontend.
struct LiveDevice {
  explicit LiveDevice(LiveBackend& backend, const std::string& target = "mem:1M",
                      const LiveBackend::Nodes& nodes = {}, uint32_t device = 51712)
      : live(backend), path(LiveBackend::path(1, device)) {
    live.attach(path, target, nodes);
    EXPECT_TRUE(live.wait_for_state(path, XenbusState::kInitWait));
    guest = std::make_unique<HandGuest>(live.guest(1), path);
  }

  bool connect(const RingShape& shape = {}) {
    guest->offer_rings(shape);
    if (!live.wait_for_state(path, XenbusState::kConnected)) return false;
    guest->set_state(XenbusState::kConnected);
    return true;
  }
  // As a frontend that is done; the toolstack keeps the device online.
  bool disconnect() {
    guest->set_state(XenbusState::kClosing);
    if (!live.wait_for_state(path, XenbusState::kClosing)) return false;
    return closed();
  }
  // After a Closing that the backend began, too.
  bool closed() {
    guest->set_state(XenbusState::kClosed);
    if (!live.wait_for_state(path, XenbusState::kClosed)) return false;
    guest->drop_rings();
    guest->set_state(XenbusState::kInitialising);
    return live.wait_for_state(path, XenbusState::kInitWait);
  }
  bool serves() {
    static uint64_t id = 0;
    fill(guest->page(0), static_cast<uint32_t>(++id));
    const bool wrote = guest->ask(write_request(id, 8, {guest->segment(0)})).status == kOkay;
    const bool read = guest->ask(read_request(id, 8, {guest->segment(1)})).status == kOkay;
    return wrote && read &&
           std::memcmp(guest->page(0).data(), guest->page(1).data(), kPageSize) == 0;
  }
  // Offers what is wrong; true if that was refused with a reason and the device can start again.
  bool refused(const RingShape& shape, const std::function<void()>& spoil) {
    guest->make_rings(shape);
    guest->write_nodes(guest->nodes(shape));
    spoil();
    guest->set_state(XenbusState::kInitialised);
    if (!live.wait_for_state(path, XenbusState::kClosing)) return false;
    reason = live.read(path.backend_directory() + "/error");
    guest->forget_nodes();
    return closed() && !reason.empty();
  }
  [[nodiscard]] std::string node(const std::string& name) {
    return live.read(path.backend_directory() + "/" + name);
  }

  LiveBackend& live;
  DevicePath path;
  std::unique_ptr<HandGuest> guest;
  std::string reason;
};

class ScratchImage {
 public:
  explicit ScratchImage(uint64_t bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "image-XXXXXX").string();
    UniqueFd fd(::mkstemp(name.data()));
    if (!fd) throw std::runtime_error("mkstemp");
    path = name;
    resize(bytes);
  }
  ~ScratchImage() { std::filesystem::remove(path); }
  void resize(uint64_t bytes) const { std::filesystem::resize_file(path, bytes); }
  [[nodiscard]] std::string uri() const { return "raw:" + path.string(); }
  std::filesystem::path path;
};

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
  LiveDevice device(live, "mem:1M", {{"script", "block"}});
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

TEST(BackendDevice, TakesOverWhatABackendThatEndedLeft) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  LiveDevice device(live, image.uri());
  ASSERT_TRUE(device.connect());
  ASSERT_TRUE(device.serves());
  live.stop();
  EXPECT_EQ(device.node("state"), "4") << "it must leave the device to the next";
  live.start();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  ASSERT_TRUE(device.closed());
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B30_NoOrderOfStatesConfusesIt) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  LiveBackend live;
  LiveDevice device(live);
  const DomainCounts before = live.held();
  const std::vector<std::string> states = {"0", "1", "2", "3",  "4",  "5", "6",
                                           "7", "8", "9", "-1", " 4", "",  "44"};
  for (int i = 0; i < 4000; i++) {
    if (random() % 64 == 0) {
      device.guest->make_rings({});
      device.guest->write_nodes(device.guest->nodes({}));
    }
    device.guest->write("state", states[random() % states.size()]);
  }
  // From wherever that has led, the way out is the usual one.
  device.guest->set_state(XenbusState::kClosed);
  live.settle();
  device.guest->set_state(XenbusState::kInitialising);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.guest->drop_rings();
  EXPECT_TRUE(live.wait_until_held(before));
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B31_AFrontendThatPointsElsewhereIsNobody) {
  LiveBackend live;
  LiveDevice device(live);
  device.guest->write("backend", LiveBackend::path(2).backend_directory());
  device.guest->offer_rings();
  live.settle();
  EXPECT_EQ(device.node("state"), "2");
  device.guest->write("backend", device.path.backend_directory());
  device.guest->set_state(XenbusState::kInitialised);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B31_ADirectoryThatVanishesTakesTheDeviceWithIt) {
  LiveBackend live;
  const DomainCounts before = live.held();
  LiveDevice device(live);
  for (int i = 0; i < 5; i++) {
    ASSERT_TRUE(device.connect());
    ASSERT_TRUE(device.serves());
    live.remove(device.path);
    EXPECT_TRUE(live.wait_until_held(before));
    live.attach(device.path, "mem:1M");
    ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  }
}

TEST(BackendDevice, B32_ReportsMayBeReadAtAnyMoment) {
  LiveBackend live;
  LiveDevice device(live);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    uint64_t requests = 0;
    while (!stop) {
      for (const DeviceReport& report : live.backend->report()) {
        const uint64_t now = report.counters.requests[static_cast<size_t>(Work::kWrite)];
        EXPECT_GE(now, requests) << "a counter went backwards";
        requests = now;
      }
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 20; i++) {
    EXPECT_TRUE(device.connect());
    EXPECT_TRUE(device.serves());
    EXPECT_TRUE(device.disconnect());
  }
  stop = true;
  reader.join();
  EXPECT_EQ(live.backend->report().at(0).counters.requests[static_cast<size_t>(Work::kWrite)], 20U);
}

TEST(BackendDevice, B33_ADeadGuestLeavesNothingAndItsNumberIsFree) {
  LiveBackend live;
  EmulatedControl control = live.machine.control();
  const DomainCounts before = live.held();
  for (int i = 0; i < 5; i++) {
    LiveDevice device(live, "script:a");
    ASSERT_TRUE(device.connect());
    ScriptedDisk& disk = live.scripted("a");
    disk.withhold(true);
    device.guest->push(read_request(1, 0, {device.guest->segment(0)}));
    ASSERT_TRUE(disk.wait_until_held(1));
    must(control.destroy_domain(DomId{1}));
    ASSERT_TRUE(live.wait_for(device.path.backend_directory(),
                              [&](const std::string&) { return device.node("state").empty(); }));
    disk.withhold(false);
    ASSERT_TRUE(live.wait_until_held(before));
    EXPECT_TRUE(live.wait_for_report([](const auto& reports) { return reports.empty(); }));
    must(control.create_domain(DomId{1}));
  }
}

TEST(BackendDevice, B33_ANewGuestOfTheSameNumberKeepsItsDirectory) {
  LiveBackend live;
  EmulatedControl control = live.machine.control();
  LiveDevice device(live, "script:a");
  ASSERT_TRUE(device.connect());
  ScriptedDisk& disk = live.scripted("a");
  disk.withhold(true);
  device.guest->push(read_request(1, 0, {device.guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(1));
  must(control.destroy_domain(DomId{1}));
  ASSERT_TRUE(live.wait_for(device.path.backend_directory(),
                            [&](const std::string&) { return device.node("state").empty(); }));
  // While the old one's request is still under way, the next comes.
  must(control.create_domain(DomId{1}));
  live.attach(device.path, "mem:1M");
  live.settle();
  disk.withhold(false);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  HandGuest guest(live.guest(1), device.path);
  guest.offer_rings();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_EQ(guest.ask(read_request(1, 0, {guest.segment(0)})).status, kOkay);
}

TEST(BackendDevice, B36_AGuestsBytesNeverChangeTheFormat) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  LiveDevice device(live, image.uri());
  ASSERT_TRUE(device.connect());
  std::memset(device.guest->page(0).data(), 0, kPageSize);
  std::memcpy(device.guest->page(0).data(), "QFI\xfb\0\0\0\3", 8);
  ASSERT_EQ(device.guest->ask(write_request(1, 0, {device.guest->segment(0)})).status, kOkay);
  ASSERT_TRUE(device.disconnect());
  live.remove(device.path);
  live.settle();
  live.attach(device.path, image.uri());
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  ASSERT_TRUE(device.connect());
  EXPECT_EQ(device.node("sectors"), "2048");
  ASSERT_EQ(device.guest->ask(read_request(1, 0, {device.guest->segment(1)})).status, kOkay);
  EXPECT_EQ(std::memcmp(device.guest->page(1).data(), "QFI\xfb", 4), 0);
}

TEST(BackendDevice, B37_AHangingImageHoldsUpNoOtherDeviceAndClosesInTime) {
  BackendOptions options;
  options.drain_timeout = std::chrono::seconds(0);
  LiveBackend live(options);
  LiveDevice hanging(live, "script:a");
  LiveDevice other(live, "mem:1M", {}, 51728);
  ASSERT_TRUE(hanging.connect());
  ASSERT_TRUE(other.connect());
  ScriptedDisk& disk = live.scripted("a");
  disk.withhold(true);
  hanging.guest->push(write_request(1, 0, {hanging.guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(1));
  EXPECT_TRUE(other.serves());
  hanging.guest->set_state(XenbusState::kClosing);
  EXPECT_TRUE(live.wait_for_state(hanging.path, XenbusState::kClosed));
  EXPECT_TRUE(other.serves());
  EXPECT_NE(live.backend->report().at(0).error.find("does not answer"), std::string::npos);
  // Until it answers, nobody connects to it: what hangs could overwrite what comes later.
  hanging.guest->set_state(XenbusState::kClosed);
  hanging.guest->set_state(XenbusState::kInitialising);
  live.settle();
  EXPECT_EQ(hanging.node("state"), "6");
  disk.withhold(false);
  EXPECT_TRUE(live.wait_for_state(hanging.path, XenbusState::kInitWait));
  ASSERT_TRUE(hanging.connect());
  EXPECT_TRUE(hanging.serves());
}

TEST(BackendDevice, B37_ABackendEndsThoughAnImageHangs) {
  BackendOptions options;
  options.drain_timeout = std::chrono::seconds(0);
  LiveBackend live(options);
  const DomainCounts before = live.held();
  LiveDevice device(live, "script:a");
  ASSERT_TRUE(device.connect());
  ScriptedDisk& disk = live.scripted("a");
  disk.withhold(true);
  device.guest->push(write_request(1, 0, {device.guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(1));
  live.stop();
  // What it left behind ends by itself once the image answers.
  disk.withhold(false);
  EXPECT_TRUE(wait_until([&] { return live.held().pins == before.pins; }));
}

TEST(BackendDevice, B39_RefusesADeviceForWhichNoPagesAreLeft) {
  BackendOptions options;
  options.max_mapped_pages = 3000;
  LiveBackend live(options);
  LiveDevice first(live);
  LiveDevice second(live, "mem:1M", {}, 51728);
  ASSERT_TRUE(first.connect({.persistent = true}));
  EXPECT_TRUE(second.refused({.persistent = true}, [] {}));
  EXPECT_NE(second.reason.find("pages"), std::string::npos);
  EXPECT_TRUE(first.serves());
  ASSERT_TRUE(first.disconnect());
  ASSERT_TRUE(second.connect({.persistent = true}));
  EXPECT_TRUE(second.serves());
}

}  // namespace
}  // namespace splitring::backend
