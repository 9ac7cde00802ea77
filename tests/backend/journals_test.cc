// Backends that follow one another, with the journals of their rings in a folder: what is gone on
// with, what is waited for, and what is not believed.
#include <fcntl.h>
#include <sys/file.h>

#include <optional>

#include "backend/ring_journal.h"
#include "tests/backend/handed_over.h"
#include "tests/support/backend/no_threads.h"

namespace splitring::backend {
namespace {

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
  [[nodiscard]] BackendOptions impatient() const {
    BackendOptions impatient = options();
    impatient.busy_patience = std::chrono::milliseconds(0);
    return impatient;
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
    EXPECT_TRUE(std::filesystem::exists(journal(0)) && std::filesystem::exists(journal(1)));
  }
}

// In between a kill would lose what the guest has asked for.
TEST_F(BackendJournals, TakeOverFromTheRestAndNotAfterIt) {
  LiveBackend live(options());
  HandedOver device(live);
  const auto guest = connect(device, image.uri());
  live.stop();
  std::filesystem::remove(journal(1));
  std::filesystem::create_directories(journal(1) / "in the way");
  live.start();
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kClosing));
  EXPECT_EQ(device.node(kRestNode), "1");
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
  LiveBackend live(impatient());
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
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) {
      return devices.size() == 1 && devices[0].error.find("in use") != std::string::npos;
    }));
    device.write("max-ring-pages", "2");
    live.wait_for_step(device.path);
    live.wait_for_step(device.path);
    EXPECT_EQ(device.node("max-ring-pages"), "2") << "written again, it looks again at once";
    ASSERT_EQ(::flock(predecessor.get(), LOCK_UN), 0);
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) { return devices[0].error.empty(); }));
  }
}

TEST_F(BackendJournals, ASuccessorWaitsForTheJournalOfEachQueue) {
  LiveBackend live(impatient());
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
    live.when_opened() = [&] { shortage.emplace(); };
    live.start();
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) {
      return devices.size() == 1 && devices[0].error.find("TasksMax") != std::string::npos;
    }));
    EXPECT_EQ(device.node("state"), "4");
    EXPECT_EQ(device.node(kRestNode), killed ? "" : "1");
    live.when_opened() = [] {};
    shortage.reset();
    EXPECT_EQ(guest->wait_for_answers(1).at(0).id, 2U);
    EXPECT_EQ(device.node(kRestNode), "");
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) { return devices[0].error.empty(); }));
  }
}

TEST_F(BackendJournals, AGuestThatClosesDoesNotWaitForTheImage) {
  LiveBackend live(impatient());
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

}  // namespace
}  // namespace splitring::backend
