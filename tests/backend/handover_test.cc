// Disks of a kind that other backends serve too: what is ours, and how it becomes ours.
#include <fcntl.h>
#include <sys/file.h>

#include <optional>

#include "backend/handover.h"
#include "tests/backend/live_device.h"
#include "tests/support/backend/no_threads.h"
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

// Journals lie in a folder of their own.
class BackendJournals : public ::testing::Test {
 protected:
  BackendJournals() {
    std::string name = (std::filesystem::temp_directory_path() / "rings-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder = name;
  }
  ~BackendJournals() override { std::filesystem::remove_all(folder); }

  [[nodiscard]] BackendOptions options() const {
    BackendOptions options;
    options.journal_directory = folder / "rings";
    return options;
  }
  [[nodiscard]] std::filesystem::path journal(int queue = 0) const {
    return folder / "rings" / ("vbd-1-51712-" + std::to_string(queue));
  }
  // A device on an image, connected.
  static std::unique_ptr<HandGuest> connect(HandedOver& device, const std::string& target) {
    device.live.attach(device.path, target);
    EXPECT_TRUE(device.live.wait_for_state(device.path, XenbusState::kInitWait));
    auto guest = std::make_unique<HandGuest>(device.live.guest(1), device.path);
    guest->offer_rings({.queues = 2});
    EXPECT_TRUE(device.live.wait_for_state(device.path, XenbusState::kConnected));
    guest->set_state(XenbusState::kConnected);
    return guest;
  }

  std::filesystem::path folder;
  ScratchImage image{1U << 20};
};

TEST_F(BackendJournals, LetASuccessorGoOnAsTheSameBackend) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  const std::string token = device.node(kJournalNode), instance = device.node("splitring-instance");
  for (int i = 0; i < 3; i++) {
    live.stop();
    live.forget_rest(device.path);
    guest->push(read_request(2, 8, {guest->segment(1)}));
    live.start();
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_EQ(device.node(kJournalNode), token);
    EXPECT_EQ(device.node("splitring-instance"), instance);
  }
}

TEST_F(BackendJournals, GoWithTheConnection) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  EXPECT_TRUE(std::filesystem::exists(journal(0)) && std::filesystem::exists(journal(1)));
  guest->set_state(XenbusState::kClosing);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "rings"));
}

TEST_F(BackendJournals, OfAnotherConnectionAreNotBelieved) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  const std::string instance = device.node("splitring-instance");
  live.stop();
  live.forget_rest(device.path);
  device.write(kJournalNode, "1");
  live.start();
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_NE(device.node("error").find("no journal of this ring"), std::string::npos);
  EXPECT_NE(device.node("splitring-instance"), instance) << "a frontend waits for answers";
}

TEST_F(BackendJournals, ThatAreLostCloseTheDevice) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  live.stop();
  live.forget_rest(device.path);
  std::filesystem::remove(journal(1));
  live.start();
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
}

TEST_F(BackendJournals, AreNotNeededAfterAnOrderlyStop) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  const std::string instance = device.node("splitring-instance");
  for (int i = 0; i < 3; i++) {
    live.stop();
    std::filesystem::remove_all(folder / "rings");
    guest->push(read_request(2, 8, {guest->segment(1)}));
    live.start();
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_EQ(device.node(kRestNode), "") << "a kill from now on would look like an orderly stop";
    EXPECT_EQ(device.node("splitring-instance"), instance);
    EXPECT_TRUE(wait_until([&] { return std::filesystem::exists(journal(1)); }));
  }
}

TEST_F(BackendJournals, ARestOfAnotherConnectionIsNotBelieved) {
  LiveBackend live(options());
  HandedOver device(live);
  live.attach(device.path, image.uri());
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.write(kRestNode, "1");
  HandGuest guest(live.guest(1), device.path);
  guest.offer_rings();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kConnected));
  EXPECT_EQ(device.node(kRestNode), "");
}

TEST_F(BackendJournals, NothingIsAtRestWhoseImageHangs) {
  BackendOptions impatient = options();
  impatient.drain_timeout = std::chrono::seconds(0);
  LiveBackend live(impatient);
  HandedOver device(live);
  const auto guest = connect(device, "script:a");
  ScriptedDisk& disk = live.scripted("a");
  disk.withhold(true);
  guest->push(write_request(1, 0, {guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(1));
  live.stop();
  EXPECT_EQ(device.node(kRestNode), "");
  EXPECT_TRUE(std::filesystem::exists(journal(0)));
  disk.withhold(false);
  EXPECT_TRUE(wait_until([&] { return !RingJournal::in_use(journal(0)); }));
}

// A process that hangs in the kernel, on storage that does, holds the lock of its image.
TEST_F(BackendJournals, ASuccessorWaitsForTheImageWithoutEnd) {
  BackendOptions impatient = options();
  impatient.busy_patience = std::chrono::milliseconds(0);
  LiveBackend live(impatient);
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  for (const bool with_journals : {true, false}) {
    live.stop();
    if (!with_journals) {
      device.write(kRestNode, "1");
      std::filesystem::remove_all(folder / "rings");
    }
    const UniqueFd predecessor(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::flock(predecessor.get(), LOCK_SH), 0);
    guest->push(read_request(2, 8, {guest->segment(1)}));
    live.start();
    live.settle();
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_NE(live.backend->report().at(0).error.find("in use"), std::string::npos);
    ASSERT_EQ(::flock(predecessor.get(), LOCK_UN), 0);
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_EQ(live.backend->report().at(0).error, "");
  }
}

TEST_F(BackendJournals, ASuccessorWaitsForTheJournalOfEachQueue) {
  BackendOptions impatient = options();
  impatient.busy_patience = std::chrono::milliseconds(0);
  LiveBackend live(impatient);
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  live.stop();
  const UniqueFd predecessor(::open(journal(1).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(predecessor.get(), LOCK_EX), 0);
  live.start();
  live.settle();
  EXPECT_EQ(device.node("state"), "4");
  EXPECT_NE(live.backend->report().at(0).error.find("journals"), std::string::npos);
  guest->push(read_request(2, 8, {guest->segment(1)}));
  ASSERT_EQ(::flock(predecessor.get(), LOCK_UN), 0);
  EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
}

// Neither those that a kill has left nor those that are at rest are lost to a shortage.
TEST_F(BackendJournals, ASuccessorWaitsForThreads) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, "script:a");
  std::optional<testing::NoThreads> shortage;
  for (const bool killed : {true, false}) {
    live.stop();
    if (killed) live.forget_rest(device.path);
    guest->push(read_request(2, 8, {guest->segment(1)}));
    live.when_opened = [&] { shortage.emplace(); };
    live.start();
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) {
      return devices.size() == 1 && devices[0].error.find("TasksMax") != std::string::npos;
    }));
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_EQ(device.node(kRestNode), killed ? "" : "1");
    live.when_opened = [] {};
    shortage.reset();
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_EQ(device.node(kRestNode), "");
    EXPECT_EQ(live.backend->report().at(0).error, "");
  }
}

TEST_F(BackendJournals, AGuestThatClosesDoesNotWaitForTheImage) {
  BackendOptions impatient = options();
  impatient.busy_patience = std::chrono::milliseconds(0);
  LiveBackend live(impatient);
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  live.stop();
  const UniqueFd predecessor(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(predecessor.get(), LOCK_SH), 0);
  live.start();
  live.settle();
  guest->set_state(XenbusState::kClosing);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  guest->set_state(XenbusState::kClosed);
  EXPECT_TRUE(live.wait_for_state(device.path, XenbusState::kClosed));
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

TEST_F(BackendJournals, AreNotKeptForADiskInMemory) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, "mem:1M");
  EXPECT_EQ(device.node(kJournalNode), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder / "rings"));
}

TEST_F(BackendJournals, OfDevicesThatAreNoMoreAreRemovedAndNothingElse) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  live.stop();
  const auto other = folder / "rings" / "vbd-2-51712-0";
  const auto strange = folder / "rings" / "notes";
  std::filesystem::copy_file(journal(0), other);
  std::filesystem::copy_file(journal(0), strange);
  live.start();
  EXPECT_FALSE(std::filesystem::exists(other));
  EXPECT_TRUE(std::filesystem::exists(strange));
  EXPECT_TRUE(std::filesystem::exists(journal(0)));
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
