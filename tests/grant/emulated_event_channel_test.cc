// Event channels of the emulated host between processes.
#include "grant/emulated_event_channel.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>

#include "grant/emulated_grant_share.h"
#include "grant/emulated_grant_table.h"
#include "tests/support/grant/hypervisor_process.h"

namespace splitring {
namespace {

using testing::ChildProcess;
using testing::HypervisorProcess;
using testing::Signal;

constexpr DomId kBackend{0};
constexpr DomId kFrontend{1};

bool is_rung(const EventChannel& channel) {
  pollfd entry{channel.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

void wait_for(const EventChannel& channel) {
  pollfd entry{channel.fd(), POLLIN, 0};
  while (::poll(&entry, 1, -1) != 1) {
  }
}

class EmulatedBell : public ::testing::Test {
 protected:
  std::unique_ptr<EmulatedEventChannel> offer() {
    return EmulatedEventChannel::offer(host_.socket(1), kBackend).value();
  }
  Result<std::unique_ptr<EmulatedEventChannel>> bind(Port port) {
    return EmulatedEventChannel::bind(host_.socket(0), kFrontend, port);
  }

  HypervisorProcess host_{2};
};

TEST_F(EmulatedBell, RingsBothWaysAndSignalsCoalesce) {
  const auto front = offer();
  const auto back = bind(front->port()).value();
  ASSERT_TRUE(back->acknowledge());
  EXPECT_FALSE(is_rung(*front));
  for (int i = 0; i < 3; i++) ASSERT_TRUE(back->notify());
  EXPECT_TRUE(is_rung(*front));
  EXPECT_FALSE(is_rung(*back)) << "not the one who rings";
  ASSERT_TRUE(front->acknowledge());
  EXPECT_FALSE(is_rung(*front)) << "one for all three";
  ASSERT_TRUE(front->notify());
  EXPECT_TRUE(is_rung(*back));
}

TEST_F(EmulatedBell, BindingBeginsWithASignal) {
  const auto front = offer();
  const auto back = bind(front->port()).value();
  EXPECT_TRUE(is_rung(*back));
  EXPECT_FALSE(is_rung(*front));
}

TEST_F(EmulatedBell, AcknowledgeWithoutASignalDoesNotBlock) {
  const auto front = offer();
  EXPECT_TRUE(front->acknowledge());
  EXPECT_TRUE(front->acknowledge());
}

TEST_F(EmulatedBell, ACounterThatIsFullIsASignal) {
  const auto front = offer();
  const auto back = bind(front->port()).value();
  ASSERT_EQ(::eventfd_write(front->fd(), UINT64_MAX - 1), 0);  // as a peer that rings for years
  EXPECT_TRUE(back->notify());
  EXPECT_TRUE(front->acknowledge());
  EXPECT_FALSE(is_rung(*front));
}

TEST_F(EmulatedBell, RingingAnUnboundOrClosedPortDoesNothing) {
  auto front = offer();
  EXPECT_TRUE(front->notify());
  auto back = bind(front->port()).value();
  front.reset();
  EXPECT_TRUE(back->notify());
}

TEST_F(EmulatedBell, B11_APortOfAnotherDomainOrAClosedOneIsRefused) {
  auto front = offer();
  EXPECT_EQ(EmulatedEventChannel::bind(host_.socket(2), kFrontend, front->port()).error().code,
            Errc::kInvalid);
  const auto back = bind(front->port()).value();
  EXPECT_EQ(bind(front->port()).error().code, Errc::kInvalid) << "bound already";
  const Port closed = front->port();
  front.reset();
  EXPECT_EQ(bind(closed).error().code, Errc::kInvalid);
  EXPECT_EQ(host_.counts(0).ports, 1u) << "refused ones leave nothing";
}

TEST_F(EmulatedBell, ClosingTheBinderMakesItsPortFreeAtOnce) {
  const auto front = offer();
  for (int i = 0; i < 3; i++) {
    const auto back = bind(front->port());
    ASSERT_TRUE(back) << back.error().what;
  }
}

// What the real Xen was seen to do: a killed backend is replaced three times in a row while the
// frontend does nothing about it.
TEST_F(EmulatedBell, B33_AKilledBackendIsReplacedThreeTimesUnderALiveFrontend) {
  const auto share = EmulatedGrantShare::open(host_.socket(1)).value();
  const auto pages = share->share(kBackend, 4, Access::kReadWrite).value();
  const auto front = offer();
  for (int generation = 1; generation <= 3; generation++) {
    const Signal ready;
    ChildProcess backend([&] {
      const auto table = EmulatedGrantTable::open(host_.socket(0)).value();
      const auto mapping = table->map(kFrontend, pages->refs(), Access::kReadWrite).value();
      const auto bell = bind(front->port()).value();
      if (mapping.bytes()[0] != static_cast<std::byte>(generation - 1)) return false;
      mapping.bytes()[0] = static_cast<std::byte>(generation);
      ready.raise();
      for (;;) {  // answers every ring by one
        wait_for(*bell);
        if (!bell->acknowledge() || !bell->notify()) return false;
      }
    });
    ready.wait();
    wait_for(*front);  // it answers the signal that binding begins with
    ASSERT_TRUE(front->acknowledge());
    ASSERT_TRUE(front->notify());
    wait_for(*front);
    ASSERT_TRUE(front->acknowledge());
    EXPECT_EQ(pages->bytes()[0], static_cast<std::byte>(generation));
    EXPECT_EQ(host_.counts(0), (DomainCounts{.handles = 3, .pins = 4, .ports = 1}));
    backend.kill();
    EXPECT_EQ(host_.counts_after_close(0, 1), DomainCounts{.handles = 1});
    EXPECT_EQ(host_.counts(1), (DomainCounts{.handles = 2, .grants = 4, .ports = 1}));
    EXPECT_TRUE(front->notify());
  }
}

// ---- kill -9 at any moment
// -----------------------------------------------------------------------

// Does all that a process can do with the host, again and again.
[[noreturn]] void keep_busy(const HypervisorProcess& host, std::span<const GrantRef> foreign_refs,
                            Port foreign_port, std::atomic<uint32_t>& steps) {
  for (;;) {
    const auto share = EmulatedGrantShare::open(host.socket(1)).value();
    const auto pages = share->share(kBackend, 8, Access::kReadWrite).value();
    steps++;
    const auto table = EmulatedGrantTable::open(host.socket(1)).value();
    const auto mapping = table->map(kBackend, foreign_refs, Access::kReadOnly).value();
    steps++;
    const auto offered = EmulatedEventChannel::offer(host.socket(1), kBackend).value();
    const auto bound = EmulatedEventChannel::bind(host.socket(1), kBackend, foreign_port).value();
    steps++;
  }
}

TEST_F(EmulatedBell, B33_KillsAtRandomMomentsLeaveNothingBehind) {
  constexpr int kKills = 100;
  const char* given = std::getenv("SPLITRING_SEED");
  const uint64_t seed = given != nullptr ? std::stoull(given) : std::random_device()();
  SCOPED_TRACE("SPLITRING_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto share = EmulatedGrantShare::open(host_.socket(0)).value();
  const auto pages = share->share(kFrontend, 8, Access::kReadOnly).value();
  const auto bell = EmulatedEventChannel::offer(host_.socket(0), kFrontend).value();
  void* memory =
      ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto& steps = *new (memory) std::atomic<uint32_t>(0);
  for (int i = 0; i < kKills; i++) {
    steps = 0;
    ChildProcess victim([&]() -> bool { keep_busy(host_, pages->refs(), bell->port(), steps); });
    const auto wanted = static_cast<uint32_t>(random() % 12);
    while (steps < wanted && victim.is_running()) ::sched_yield();
    ASSERT_TRUE(victim.is_running());
    for (uint64_t spin = random() % 20000; spin > 0; spin--) asm volatile("");
    victim.kill();
    ASSERT_EQ(host_.counts_after_close(1, 0), DomainCounts{}) << "kill " << i;
    ASSERT_EQ(host_.counts(0), (DomainCounts{.handles = 3, .grants = 8, .ports = 1}));
  }
  ::munmap(memory, kPageSize);
}

}  // namespace
}  // namespace splitring
