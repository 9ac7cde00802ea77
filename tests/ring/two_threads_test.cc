// Both ends at once, each in its thread, asleep whenever there is nothing to do. A lost wake-up
// leaves both asleep for ever; a torn or early read shows as a wrong request or response.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "ring/back_ring.h"
#include "ring/front_ring.h"
#include "tests/support/ring/ring_pages.h"

namespace splitring {
namespace {

constexpr uint64_t kRequests = 300'000;
constexpr int kHangMs = 120'000;  // only ever waited for when a wake-up was lost

// A doorbell: rings coalesce, as an event channel's do.
class Doorbell {
 public:
  void ring() {
    const uint64_t one = 1;
    ASSERT_EQ(::write(fd_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
  // False: nobody rang.
  bool wait() {
    pollfd waiting = {fd_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, kHangMs) != 1) return false;
    uint64_t rings = 0;
    return ::read(fd_.get(), &rings, sizeof rings) == static_cast<ssize_t>(sizeof rings);
  }

 private:
  UniqueFd fd_{::eventfd(0, EFD_CLOEXEC)};
};

uint64_t mix(uint64_t id) { return id * 0x9e3779b97f4a7c15 ^ id >> 7; }

template <class Wire>
typename Wire::Request request_of(uint64_t id) {
  typename Wire::Request request{};
  request.operation = static_cast<uint8_t>(id);
  request.segment_count = 11;
  request.id = id;
  request.sector = mix(id);
  for (size_t i = 0; i < blkif::kMaxSegments; i++)
    request.segments[i] = {static_cast<uint32_t>(mix(id + i)), 0, 7, 0};
  return request;
}

template <class Wire>
bool is_request_of(const typename Wire::Request& request) {
  const auto expected = request_of<Wire>(request.id);
  return std::memcmp(&request, &expected, sizeof request) == 0;
}

template <class Wire>
class TwoThreads : public ::testing::Test {
 protected:
  void serve(std::span<std::byte> pages) {
    BackRing<Wire> ring(pages);
    std::vector<typename Wire::Request> taken;
    for (uint64_t answered = 0; answered < kRequests && !failed_;) {
      while (ring.available() != 0 || ring.look() == RingState::kReady) {
        taken.clear();
        while (ring.available() != 0) ring.take(taken.emplace_back());
        for (const auto& request : taken) {
          if (!is_request_of<Wire>(request)) return fail("the backend saw a torn request");
          ring.put(request.id, request.operation, blkif::Status::kOkay);
        }
        answered += taken.size();
        if (ring.publish()) to_front_.ring();
      }
      if (answered == kRequests) break;
      if (ring.rearm() == RingState::kEmpty && !to_back_.wait()) return fail("backend: no event");
    }
  }

  void ask(std::span<std::byte> pages, FrontRing<Wire>& ring, uint64_t seed) {
    ASSERT_EQ(pages.size() % kPageSize, 0U);
    std::mt19937_64 random(seed);
    std::vector<bool> answered(kRequests);
    uint64_t asked = 0;
    for (uint64_t done = 0; done < kRequests && !failed_;) {
      const auto room = std::min<uint64_t>(ring.free_slots(), kRequests - asked);
      for (uint64_t n = room == 0 ? 0 : random() % (room + 1); n > 0; n--)
        ring.push(request_of<Wire>(asked++), blkif::kMaxSegments);
      if (ring.publish()) to_back_.ring();
      (void)ring.look();
      for (; ring.available() != 0; done++) {
        typename Wire::Response response;
        ring.take(response);
        if (response.id >= asked || answered[response.id] ||
            response.operation != static_cast<uint8_t>(response.id))
          return fail("the frontend saw a wrong response");
        answered[response.id] = true;
      }
      if (asked == done) continue;  // nothing in flight that could wake us
      if (ring.rearm() == RingState::kEmpty && !to_front_.wait()) return fail("frontend: no event");
    }
    EXPECT_EQ(asked, kRequests);
  }

  void fail(const char* what) {
    failed_ = true;
    ADD_FAILURE() << what;
    to_front_.ring();
    to_back_.ring();
  }

  Doorbell to_front_;
  Doorbell to_back_;
  std::atomic<bool> failed_ = false;
};

using Wires = ::testing::Types<blkif::Wire64, blkif::Wire32>;
TYPED_TEST_SUITE(TwoThreads, Wires);

TYPED_TEST(TwoThreads, F20_NoWakeUpIsLostAndNothingIsTorn) {
  for (const size_t page_count : {size_t{1}, size_t{16}}) {
    const uint64_t seed = 20 + page_count;
    SCOPED_TRACE(::testing::Message() << page_count << " pages, seed " << seed);
    RingPages pages(page_count);
    FrontRing<TypeParam> front(pages.bytes(), 0U - 1000);
    std::thread backend([&] { this->serve(pages.bytes()); });
    this->ask(pages.bytes(), front, seed);
    backend.join();
  }
}

}  // namespace
}  // namespace splitring
