// A guest that breaks the rules on a disk it was given: rows B of what a backend must bear, for the
// lab of a real Xen, where grants, event channels and the store are the hypervisor's own. Each test
// is a connection of its own. What the disk holds is lost.
//
//   hostile_guest xvda [GoogleTest's options]     the disk has 4 MiB or more
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "ring/ring_layout.h"
#include "tests/support/backend/hand_guest.h"
#include "tests/support/device_conformance.h"
#include "xenbus/nodes.h"

namespace splitring::backend {
namespace {

constexpr int kPatienceMs = 60'000;
constexpr auto kOkay = static_cast<int16_t>(blkif::Status::kOkay);
constexpr auto kError = static_cast<int16_t>(blkif::Status::kError);
constexpr auto kUnsupported = static_cast<int16_t>(blkif::Status::kUnsupported);
using Layout = RingLayout<blkif::Wire64>;  // its indices lie there in every ABI

uint32_t device_number = 0;

// The backend's directory, as the toolstack wrote it.
DevicePath find_device(Host& host) {
  const auto store = must(host.open_store());
  const std::string frontend = "/local/domain/" + std::to_string(raw(host.domain())) +
                               "/device/vbd/" + std::to_string(device_number);
  const std::string backend = must(store->now().read(frontend + "/backend"));
  unsigned domain = 0;
  std::array<char, 32> kind{};
  if (std::sscanf(backend.c_str(), "/local/domain/%u/backend/%31[^/]", &domain, kind.data()) != 2)
    throw std::runtime_error("no backend is " + backend);
  return {kind.data(), DomId{static_cast<uint16_t>(domain)}, host.domain(), device_number};
}

class HostileGuest : public testing::TestWithParam<bool> {
 protected:
  HostileGuest() {
    auto host = must(open_host({}));
    const DevicePath path = find_device(*host);
    store_ = must(host->open_store());
    backend_ = path.backend_directory();
    [[maybe_unused]] const auto watched = store_->watch(backend_ + "/state", "state");
    guest_ = std::make_unique<HandGuest>(std::move(host), path);
  }
  void SetUp() override { ASSERT_TRUE(start_over()); }
  // Whatever was done: the disk still serves an honest frontend.
  void TearDown() override {
    guest_->forget_nodes();
    ASSERT_TRUE(start_over());
    connect();
    EXPECT_TRUE(serves());
  }

  bool wait_for(std::initializer_list<XenbusState> wanted) {
    for (;;) {
      const auto state = read_state(store_->now(), backend_);
      if (state && std::ranges::find(wanted, *state) != wanted.end()) return true;
      pollfd entry{store_->fd(), POLLIN, 0};
      if (::poll(&entry, 1, kPatienceMs) != 1) return false;
      while (store_->next_event()) {
      }
    }
  }
  // From anywhere: Closing is answered in every state, so that nothing said before it is pending.
  bool start_over() {
    guest_->set_state(XenbusState::kClosing);
    if (!wait_for({XenbusState::kClosing, XenbusState::kClosed})) return false;
    guest_->set_state(XenbusState::kClosed);
    if (!wait_for({XenbusState::kClosed, XenbusState::kInitWait})) return false;
    guest_->drop_rings();
    guest_->set_state(XenbusState::kInitialising);
    return wait_for({XenbusState::kInitWait});
  }
  void connect(const RingShape& shape = {.persistent = GetParam()}) {
    guest_->offer_rings(shape);
    ASSERT_TRUE(wait_for({XenbusState::kConnected}));
    guest_->set_state(XenbusState::kConnected);
  }
  bool serves() {
    fill_pattern(guest_->page(0), ++seed_);
    return status(blkif::kOpWrite, 8, {guest_->segment(0)}) == kOkay &&
           status(blkif::kOpRead, 8, {guest_->segment(1)}) == kOkay &&
           std::memcmp(guest_->page(0).data(), guest_->page(1).data(), kPageSize) == 0;
  }
  int16_t status(uint8_t operation, uint64_t sector, std::vector<blkif::Segment> segments) {
    return guest_->ask({.operation = operation, .sector = sector, .segments = std::move(segments)})
        .status;
  }
  HandAnswer ask(const HandIndirect& request) {
    guest_->rings[0].frontend->push(request);
    return answer();
  }
  HandAnswer ask_discard(uint64_t sector, uint64_t count) {
    guest_->rings[0].frontend->push_discard(1, sector, count);
    return answer();
  }
  HandAnswer answer() {
    if (guest_->rings[0].frontend->publish()) ring_the_bell();
    return guest_->wait_for_answers(1).front();
  }
  void ring_the_bell() { static_cast<void>(guest_->rings[0].channel->notify()); }
  void write_index(size_t offset, uint32_t value) {
    std::byte* const at = guest_->rings[0].pages->bytes().data() + offset;
    __atomic_store_n(reinterpret_cast<uint32_t*>(at), value, __ATOMIC_RELEASE);
  }
  // Nodes that are wrong are refused in words.
  void expect_refused(const RingShape& shape, const std::function<void()>& spoil) {
    guest_->make_rings(shape);
    guest_->write_nodes(guest_->nodes(shape));
    spoil();
    guest_->set_state(XenbusState::kInitialised);
    ASSERT_TRUE(wait_for({XenbusState::kClosing}));
    EXPECT_FALSE(must(store_->now().read(backend_ + "/" + kErrorNode)).empty());
    guest_->forget_nodes();
    ASSERT_TRUE(start_over());
  }

  std::unique_ptr<HandGuest> guest_;
  std::unique_ptr<Store> store_;
  std::string backend_;
  uint64_t seed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Grants, HostileGuest, testing::Bool(),
                         [](const auto& of) { return of.param ? "persistent" : "copied"; });

TEST_P(HostileGuest, B1_MoreRequestsThanSlotsCloseTheDisk) {
  connect();
  write_index(Layout::kRequestProducer, guest_->rings[0].frontend->slots() + 1);
  ring_the_bell();
  EXPECT_TRUE(wait_for({XenbusState::kClosing}));
}

TEST_P(HostileGuest, B2_AProducerThatGoesBackwardsClosesTheDisk) {
  connect();
  ASSERT_TRUE(serves());
  write_index(Layout::kRequestProducer, 1);
  ring_the_bell();
  EXPECT_TRUE(wait_for({XenbusState::kClosing}));
}

TEST_P(HostileGuest, B4_SlotsThatChangeWhileTheyAreTaken) {
  connect();
  std::atomic<bool> stop{false};
  const std::span<std::byte> slots = guest_->rings[0].pages->bytes().subspan(Layout::kSlots);
  std::thread flipper([&] {
    std::minstd_rand random(1);
    while (!stop) slots[random() % slots.size()] = static_cast<std::byte>(random());
  });
  for (int i = 0; i < 200; i++) {
    guest_->push({.operation = blkif::kOpRead, .segments = {guest_->segment(0)}});
    static_cast<void>(guest_->wait_for_answers(1));
  }
  stop = true;
  flipper.join();
}

TEST_P(HostileGuest, B6_IndicesOfTheBackendsOwn) {
  connect();
  for (const uint32_t junk : {0U, 12345U, 0x80000001U, 0xffffffffU}) {
    write_index(Layout::kResponseProducer, junk);
    write_index(Layout::kRequestEvent, junk);
    guest_->rings[0].frontend->push(
        {.operation = blkif::kOpRead, .segments = {guest_->segment(0)}});
    static_cast<void>(guest_->rings[0].frontend->publish());
    ring_the_bell();
    EXPECT_EQ(guest_->wait_for_answers(1).size(), 1U);
  }
  EXPECT_TRUE(serves());
}

TEST_P(HostileGuest, B8_AProtocolThatIsNone) {
  expect_refused({}, [&] { guest_->write("protocol", "z80-abi"); });
}

TEST_P(HostileGuest, B9_RingsThatAreNone) {
  const std::string limit = std::to_string(UINT32_MAX);
  expect_refused({}, [&] { guest_->write("ring-ref", limit); });
  expect_refused({}, [&] { guest_->write("ring-ref", "-1"); });
  expect_refused({}, [&] { guest_->write("ring-page-order", "20"); });
  expect_refused({.pages = 4}, [&] { guest_->remove("ring-ref2"); });
  expect_refused({.pages = 4}, [&] { guest_->write("ring-ref3", limit); });
}

TEST_P(HostileGuest, B10_QueuesThatAreNone) {
  for (const char* count : {"0", "4294967296", "1x"})
    expect_refused({.queues = 2}, [&] { guest_->write("multi-queue-num-queues", count); });
  expect_refused({.queues = 2}, [&] { guest_->remove("queue-1"); });
}

TEST_P(HostileGuest, B11_DoorbellsThatAreNone) {
  for (const char* port : {"1", "4000", "4294967295"})
    expect_refused({}, [&] { guest_->write("event-channel", port); });
}

TEST_P(HostileGuest, B12_AStormOfBells) {
  connect();
  for (int i = 0; i < 20'000; i++) ring_the_bell();
  EXPECT_TRUE(serves());
}

TEST_P(HostileGuest, B14_EveryOperationThereIsNot) {
  connect();
  const std::set<uint32_t> known = {blkif::kOpRead,         blkif::kOpWrite,
                                    blkif::kOpWriteBarrier, blkif::kOpFlushDiskcache,
                                    blkif::kOpDiscard,      blkif::kOpIndirect};
  for (uint32_t first = 0; first < 256; first += 16) {
    size_t pushed = 0;
    for (uint32_t operation = first; operation < first + 16; operation++) {
      if (known.contains(operation)) continue;
      guest_->push({.operation = static_cast<uint8_t>(operation), .id = operation * 1000});
      pushed++;
    }
    const auto answers = guest_->wait_for_answers(pushed);
    EXPECT_EQ(answers.size(), pushed);
    for (const HandAnswer& said : answers) {
      EXPECT_EQ(said.status, kUnsupported);
      EXPECT_EQ(said.id, said.operation * 1000U);
    }
  }
}

TEST_P(HostileGuest, B15B16_SegmentCountsThatCannotBe) {
  connect();
  EXPECT_EQ(status(blkif::kOpRead, 0, {}), kError);
  for (const int count : {12, 13, 16, 31, 32, 33, 127, 128, 254, 255})
    EXPECT_EQ(guest_
                  ->ask({.operation = blkif::kOpWrite,
                         .segments = {guest_->segment(0)},
                         .segment_count = count})
                  .status,
              kError);
}

TEST_P(HostileGuest, B17_SectorsPastThePage) {
  connect();
  for (const int last : {8, 9, 15, 16, 63, 127, 128, 254, 255})
    EXPECT_EQ(status(blkif::kOpRead, 0, {guest_->segment(0, 0, static_cast<uint8_t>(last))}),
              kError);
  EXPECT_EQ(status(blkif::kOpRead, 0, {guest_->segment(0, 5, 4)}), kError);
}

TEST_P(HostileGuest, B18_SectorsPastTheDisk) {
  connect();
  const auto capacity = must(read_disk(store_->now(), backend_)).capacity.count;
  EXPECT_EQ(status(blkif::kOpWrite, capacity - 8, {guest_->segment(0)}), kOkay);
  for (const uint64_t sector : {capacity - 7, capacity, UINT64_MAX, UINT64_MAX - 7, 1UL << 55})
    EXPECT_EQ(status(blkif::kOpWrite, sector, {guest_->segment(0)}), kError) << sector;
}

TEST_P(HostileGuest, B21_IndirectRequestsThatAreNone) {
  connect();
  std::fill_n(guest_->page(2).data(), kPageSize, std::byte{0xff});
  HandIndirect request{.segment_count = 1};
  request.page_refs[0] = guest_->segment(2).ref;
  EXPECT_EQ(ask(request).status, kError) << "segments of nothing";
  for (const uint32_t count : {0U, 257U, 4096U, 65535U}) {
    request.segment_count = static_cast<uint16_t>(count);
    EXPECT_EQ(ask(request).status, kError) << count;
  }
  request.segment_count = 12;
  request.page_refs[0] = UINT32_MAX;
  EXPECT_EQ(ask(request).status, kError) << "a page of nobody";
  request.inner_operation = blkif::kOpIndirect;
  EXPECT_EQ(ask(request).status, kError) << "nested";
}

TEST_P(HostileGuest, B23_DiscardsPastTheEnd) {
  connect();
  EXPECT_EQ(ask_discard(UINT64_MAX, UINT64_MAX).status, kError);
  EXPECT_EQ(ask_discard(8, UINT64_MAX - 7).status, kError);
}

TEST_P(HostileGuest, B24B25_OneIdAndOnePageManyTimes) {
  connect();
  const std::vector<blkif::Segment> same(11, guest_->segment(3));
  for (int i = 0; i < 16; i++)
    guest_->push({.operation = blkif::kOpRead, .id = 7, .segments = same});
  const auto answers = guest_->wait_for_answers(16);
  ASSERT_EQ(answers.size(), 16U);
  for (const HandAnswer& said : answers) {
    EXPECT_EQ(said.id, 7U);
    EXPECT_EQ(said.status, kOkay);
  }
}

TEST_P(HostileGuest, B26_PagesThatAreNotGranted) {
  connect();
  // 0 and 1 are: of the console and the store.
  for (const uint32_t ref : {500'000U, UINT32_MAX}) {
    for (const size_t place : {0, 5, 10}) {
      std::vector<blkif::Segment> segments(11, guest_->segment(4));
      segments[place].ref = ref;
      EXPECT_EQ(status(blkif::kOpRead, 0, segments), kError) << ref << " at " << place;
    }
    EXPECT_TRUE(serves());
  }
}

TEST_P(HostileGuest, B30_StatesInNoOrder) {
  std::mt19937 random(3);
  const std::vector<std::string> states = {"0", "1", "2", "3",  "4",  "5", "6",
                                           "7", "8", "9", "-1", " 4", "",  "44"};
  for (int i = 0; i < 300; i++) {
    if (random() % 64 == 0) {
      guest_->make_rings({});
      guest_->write_nodes(guest_->nodes({}));
    }
    guest_->write("state", states[random() % states.size()]);
  }
}

}  // namespace
}  // namespace splitring::backend

int main(int argc, char** argv) {
  using namespace splitring;
  testing::InitGoogleTest(&argc, argv);
  const auto device = virtual_device_number(argc > 1 ? argv[1] : "");
  if (!device) {
    std::fprintf(stderr, "usage: hostile_guest DISK\n");
    return 2;
  }
  backend::device_number = *device;
  return RUN_ALL_TESTS();
}
