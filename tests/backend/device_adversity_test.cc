// A device whose guest, toolstack or image does what it should not, or ends.
#include <sys/eventfd.h>

#include <fstream>
#include <future>
#include <optional>
#include <random>
#include <set>

#include "backend/device.h"
#include "tests/backend/live_device.h"
#include "tests/support/backend/no_threads.h"

namespace splitring::backend {
namespace {

TEST(BackendDevice, B30_NoOrderOfStatesConfusesIt) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  LiveBackend live;
  LiveDevice device(live);
  const DomainCounts before = live.held();
  const std::vector<std::string> states = {"0", "1", "2", "3",  "4",  "5", "6",
                                           "7", "8", "9", "-1", " 4", "",  "44"};
  for (int i = 0; i < 100'000; i++) {
    if (random() % 64 == 0) {
      device.guest->make_rings({});
      device.guest->write_nodes(device.guest->nodes({}));
    }
    device.guest->write("state", states[random() % states.size()]);
  }
  // From wherever that has led, the way out is the usual one.
  device.guest->set_state(XenbusState::kClosed);
  live.wait_for_step(device.path);
  device.guest->set_state(XenbusState::kInitialising);
  ASSERT_TRUE(live.wait_for_state(device.path, XenbusState::kInitWait));
  device.guest->drop_rings();
  EXPECT_TRUE(live.wait_until_held(before));
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

TEST(BackendDevice, B30_AGuestThatWritesInALoopCausesFewSteps) {
  constexpr uint64_t kWrites = 10'000;
  const auto start = std::chrono::steady_clock::now();
  LiveBackend live;
  LiveDevice device(live);
  for (uint64_t i = 0; i < kWrites; i++) device.guest->set_state(XenbusState::kInitialising);
  live.wait_for_step(device.path);
  const auto took = std::chrono::steady_clock::now() - start;
  const auto intervals = static_cast<uint64_t>(took / StepShare::kInterval);
  // Some are not the guest's: of the toolstack's writes, of ours, of the time.
  EXPECT_LE(live.backend->report().at(0).steps,
            StepShare::kBurst + intervals + intervals / 100 + 20);
}

// Of a store in which a guest writes its state within each transaction of the backend's, as one
// that writes in a loop can: counts how often a transaction was tried.
class MeddledStore final : public Store {
 public:
  MeddledStore(std::unique_ptr<Store> store, HandGuest& guest)
      : store_(std::move(store)), guest_(guest) {}
  StoreView& now() override { return store_->now(); }
  Result<> transact(const std::function<Result<>(StoreView&)>& body) override {
    transactions++;
    return store_->transact([&](StoreView& view) -> Result<> {
      attempts++;
      auto done = body(view);
      guest_.write("state", "3");
      return done;
    });
  }
  Result<> watch(const std::string& path, const std::string& token) override {
    return store_->watch(path, token);
  }
  Result<> unwatch(const std::string& path, const std::string& token) override {
    return store_->unwatch(path, token);
  }
  [[nodiscard]] int fd() const override { return store_->fd(); }
  std::optional<StoreEvent> next_event() override { return store_->next_event(); }
  Result<std::string> domain_path(DomId domain) override { return store_->domain_path(domain); }
  Result<bool> is_introduced(DomId domain) override { return store_->is_introduced(domain); }

  int transactions = 0;
  int attempts = 0;

 private:
  std::unique_ptr<Store> store_;
  HandGuest& guest_;
};

TEST(BackendDevice, B30_AGuestThatWritesInALoopMakesNoTransactionFail) {
  LiveBackend live;
  const DevicePath path = LiveBackend::path();
  live.stop();
  live.attach(path, "mem:1M");
  HandGuest guest(live.guest(1), path);
  guest.make_rings({});
  guest.write_nodes(guest.nodes({}));
  const auto host = live.machine.host(0);
  MeddledStore store(must(host->open_store()), guest);
  const DiskSchemes schemes = DiskSchemes::images();
  const BackendOptions options;
  PageBudget budget(options.max_mapped_pages);
  const UniqueFd changed(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Device device(path, {host.get(), &schemes, &options, &budget, changed.get()});
  const auto connected = [&] { return device.report().state == XenbusState::kConnected; };
  EXPECT_TRUE(wait_until([&] {
    must(device.step(store));
    return connected();
  }));
  EXPECT_EQ(store.attempts, store.transactions);
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

// Between what the backend reads and what it writes the toolstack may have removed the directory: a
// write must not bring it back.
TEST(BackendDevice, B31_ADirectoryThatVanishesWhileItIsServedDoesNotComeBack) {
  LiveBackend live;
  const DevicePath path = LiveBackend::path();
  const auto toolstack = live.machine.host(0);
  const auto store = std::move(toolstack->open_store()).value();
  live.when_opened() = [&] {
    ASSERT_TRUE(store->now().remove(path.frontend_directory()));
    ASSERT_TRUE(store->now().remove(path.backend_directory()));
  };
  for (const char* target : {"script:works", "script:fails"}) {
    live.attach(path, target);
    EXPECT_TRUE(live.wait_for_report([](const auto& devices) { return devices.empty(); }));
    live.settle();
    EXPECT_EQ(live.read(path.backend_directory() + "/state"), "") << target;
    EXPECT_EQ(live.read(path.backend_directory() + "/error"), "") << target;
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

// The guest of a device on "script:a" dies while the disk withholds its answer, and its directory
// goes.
void die_with_a_request_under_way(LiveDevice& device, EmulatedControl& control) {
  ASSERT_TRUE(device.connect());
  ScriptedDisk& disk = device.live.scripted("a");
  disk.withhold(true);
  device.guest->push(read_request(1, 0, {device.guest->segment(0)}));
  ASSERT_TRUE(disk.wait_until_held(1));
  must(control.destroy_domain(DomId{1}));
  ASSERT_TRUE(device.live.wait_for(device.path.backend_directory(), [&](const std::string&) {
    return device.node("state").empty();
  }));
}

TEST(BackendDevice, B33_ADeadGuestLeavesNothingAndItsNumberIsFree) {
  LiveBackend live;
  EmulatedControl control = live.machine.control();
  const DomainCounts before = live.held();
  for (int i = 0; i < 5; i++) {
    LiveDevice device(live, "script:a");
    ASSERT_NO_FATAL_FAILURE(die_with_a_request_under_way(device, control));
    ScriptedDisk& disk = live.scripted("a");
    disk.withhold(false);
    ASSERT_TRUE(live.wait_until_held(before));
    EXPECT_TRUE(live.wait_for_report([](const auto& reports) { return reports.empty(); }));
    must(control.create_domain(DomId{1}));
  }
}

TEST(BackendDevice, B33_AGuestThatDiedWhileNoBackendRanLeavesNothing) {
  const ScratchImage image(1U << 20);
  LiveBackend live;
  EmulatedControl control = live.machine.control();
  LiveDevice device(live, image.uri());
  ASSERT_TRUE(device.connect());
  live.stop();
  must(control.destroy_domain(DomId{1}));
  ASSERT_EQ(device.node("state"), "4");
  live.start();
  EXPECT_TRUE(live.wait_for(device.path.backend_directory() + "/state",
                            [](const std::string& state) { return state.empty(); }));
  EXPECT_TRUE(live.wait_for_report([](const auto& reports) { return reports.empty(); }));
}

TEST(BackendDevice, B33_ANewGuestOfTheSameNumberKeepsItsDirectory) {
  LiveBackend live;
  EmulatedControl control = live.machine.control();
  LiveDevice device(live, "script:a");
  ASSERT_NO_FATAL_FAILURE(die_with_a_request_under_way(device, control));
  ScriptedDisk& disk = live.scripted("a");
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

TEST(BackendDevice, B37_AnImageThatHangsWhenItIsOpenedHoldsUpNobody) {
  std::atomic<int> opened{0};
  std::promise<void> answer;
  LiveBackend live;
  LiveDevice other(live);
  ASSERT_TRUE(other.connect());
  live.when_opened() = [&opened, answered = answer.get_future().share()] {
    answered.wait();
    opened++;
  };
  const DevicePath path = LiveBackend::path(1, 51728);
  const DevicePath unwanted = LiveBackend::path(1, 51744);
  const DevicePath removed = LiveBackend::path(1, 51760);
  live.attach(path, "script:a");
  live.attach(unwanted, "script:fails");
  live.attach(removed, "script:fails");
  live.settle();
  EXPECT_TRUE(other.serves());
  EXPECT_EQ(live.read(path.backend_directory() + "/state"), "1");
  live.ask_to_close(unwanted);
  EXPECT_TRUE(live.wait_for_state(unwanted, XenbusState::kClosed));
  live.remove(removed);
  EXPECT_TRUE(live.wait_for_report([](const auto& devices) { return devices.size() == 3; }));
  answer.set_value();
  EXPECT_TRUE(live.wait_for_state(path, XenbusState::kInitWait));
  EXPECT_TRUE(wait_until([&] { return opened == 3; }));
}

TEST(BackendDevice, B37_AnImageThatHangsWhenItsCapacityIsLookedAtHoldsUpNobody) {
  LiveBackend live;
  LiveDevice hanging(live, "script:a");
  LiveDevice other(live, "mem:1M", {}, 51728);
  ASSERT_TRUE(hanging.connect());
  ASSERT_TRUE(other.connect());
  std::promise<void> answer;
  std::atomic<bool> looked{false};
  live.scripted("a").when_looked_at([&looked, answered = answer.get_future().share()] {
    looked = true;
    answered.wait();
  });
  EXPECT_TRUE(wait_until([&] { return looked.load(); }));
  live.settle();
  EXPECT_TRUE(other.serves());
  answer.set_value();
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

TEST(BackendDevice, WithoutAThreadForItsRingOnlyThatDeviceFails) {
  LiveBackend live;
  LiveDevice device(live);
  LiveDevice other(live, "mem:1M", {}, 51728);
  ASSERT_TRUE(other.connect());
  std::optional<testing::NoThreads> shortage(std::in_place);
  EXPECT_TRUE(device.refused({}, [] {}));
  EXPECT_NE(device.reason.find("TasksMax"), std::string::npos) << device.reason;
  EXPECT_TRUE(other.serves());
  shortage.reset();
  ASSERT_TRUE(device.connect());
  EXPECT_TRUE(device.serves());
}

}  // namespace
}  // namespace splitring::backend
