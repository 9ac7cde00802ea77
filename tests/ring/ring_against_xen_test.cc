// Twin pages: on one run our rings, on the other Xen's own macros, through the same random steps.
// After every step the pages are byte for byte the same and so is every decision to notify or to
// sleep. The indices start shortly before their wrap at 2^32.

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "ring/back_ring.h"
#include "ring/front_ring.h"
#include "tests/support/ring/ring_pages.h"
#include "tests/support/ring/xen_blkif.h"
#include "tests/support/sanitized.h"

namespace splitring {
namespace {

constexpr uint32_t kStepsPerRing = test::often(3'000'000U);
constexpr uint32_t kStart = 0U - 256;  // 2^32 - 256

template <class Xen>
class Twins {
 public:
  using Wire = typename Xen::Wire;

  Twins(size_t pages, uint64_t seed)
      : ours_(pages),
        theirs_(pages),
        random_(seed),
        front_(ours_.bytes(), kStart),
        back_(ours_.bytes()) {
    auto* shared = reinterpret_cast<typename Xen::SharedRing*>(theirs_.data());
    SHARED_RING_INIT(shared);
    shared->req_prod = shared->rsp_prod = kStart;
    shared->req_event = shared->rsp_event = kStart + 1;
    FRONT_RING_ATTACH(&xen_front_, shared, kStart, pages * kPageSize);
    BACK_RING_ATTACH(&xen_back_, shared, kStart, pages * kPageSize);
  }

  void step() {
    switch (random_() % 8) {
      case 0: push_requests(); break;
      case 1: publish_requests(); break;
      case 2: take_requests(); break;
      case 3: put_responses(); break;
      case 4: publish_responses(); break;
      case 5: take_responses(); break;
      case 6: back_sleeps(); break;
      case 7: front_sleeps(); break;
    }
  }

  [[nodiscard]] bool same_header() {
    return std::memcmp(ours_.data(), theirs_.data(), kRingHeaderBytes) == 0;
  }
  [[nodiscard]] bool same_bytes() {
    return std::memcmp(ours_.data(), theirs_.data(), ours_.bytes().size()) == 0;
  }
  [[nodiscard]] uint64_t completed() const { return completed_; }
  [[nodiscard]] uint64_t notified() const { return notified_; }
  [[nodiscard]] uint64_t slept() const { return slept_; }

 private:
  // A batch: often one, sometimes all there is.
  uint32_t some(uint32_t available) {
    if (available == 0) return 0;
    const auto dice = random_();
    return dice % 4 == 0 ? available : static_cast<uint32_t>(1 + dice % std::min(available, 4U));
  }

  template <class T>
  T random_bytes() {
    T value{};
    std::array<uint64_t, (sizeof(T) + 7) / 8> noise;
    for (auto& word : noise) word = random_();
    std::memcpy(&value, noise.data(), sizeof value);
    return value;
  }

  void push_on_xen(const void* request, size_t bytes) {
    std::memcpy(RING_GET_REQUEST(&xen_front_, xen_front_.req_prod_pvt), request, bytes);
    xen_front_.req_prod_pvt++;
  }

  void push_requests() {
    ASSERT_EQ(front_.free_slots(), RING_FREE_REQUESTS(&xen_front_));
    for (uint32_t n = some(front_.free_slots()); n > 0; n--) {
      const auto dice = random_() % 8;
      if (dice == 0) {
        const auto request = random_bytes<typename Wire::Discard>();
        front_.push(request);
        push_on_xen(&request, sizeof request);
      } else if (dice == 1) {
        const auto request = random_bytes<typename Wire::Indirect>();
        front_.push(request);
        push_on_xen(&request, sizeof request);
      } else {
        const auto request = random_bytes<typename Wire::Request>();
        const size_t segments = random_() % (blkif::kMaxSegments + 1);
        front_.push(request, segments);
        push_on_xen(&request, offsetof(typename Xen::Request, seg) + segments * 8);
      }
    }
  }

  void publish_requests() {
    bool xen_notifies = false;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&xen_front_, xen_notifies);
    const bool notifies = front_.publish();
    ASSERT_EQ(notifies, xen_notifies);
    notified_ += notifies ? 1 : 0;
  }

  void take_requests() {
    const auto state = back_.look();
    ASSERT_NE(state, RingState::kBroken);
    ASSERT_EQ(back_.available(), XEN_RING_NR_UNCONSUMED_REQUESTS(&xen_back_));
    ASSERT_EQ(state == RingState::kReady, back_.available() != 0);
    for (uint32_t n = some(back_.available()); n > 0; n--) {
      typename Wire::Request request;
      typename Xen::Request xen_request;
      back_.take(request);
      RING_COPY_REQUEST(&xen_back_, xen_back_.req_cons, &xen_request);
      xen_back_.req_cons++;
      ASSERT_EQ(uint64_t{request.id}, uint64_t{xen_request.id});
      ASSERT_EQ(uint64_t{request.sector}, uint64_t{xen_request.sector_number});
      ASSERT_EQ(request.operation, xen_request.operation);
      taken_.push_back({request.id, request.operation});
    }
  }

  void put_responses() {
    ASSERT_EQ(back_.unanswered(), taken_.size());
    for (uint32_t n = some(back_.unanswered()); n > 0; n--) {
      const Taken request = taken_.front();
      taken_.pop_front();
      back_.put(request.id, request.operation, blkif::Status::kError);
      typename Xen::Response response;
      std::memset(&response, 0, sizeof response);
      response.id = request.id;
      response.operation = request.operation;
      response.status = BLKIF_RSP_ERROR;
      std::memcpy(RING_GET_RESPONSE(&xen_back_, xen_back_.rsp_prod_pvt), &response,
                  sizeof response);
      xen_back_.rsp_prod_pvt++;
    }
  }

  void publish_responses() {
    bool xen_notifies = false;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&xen_back_, xen_notifies);
    const bool notifies = back_.publish();
    ASSERT_EQ(notifies, xen_notifies);
    notified_ += notifies ? 1 : 0;
  }

  void take_responses() {
    const auto state = front_.look();
    ASSERT_NE(state, RingState::kBroken);
    ASSERT_EQ(front_.available(), XEN_RING_NR_UNCONSUMED_RESPONSES(&xen_front_));
    ASSERT_EQ(state == RingState::kReady, front_.available() != 0);
    for (uint32_t n = some(front_.available()); n > 0; n--) {
      typename Wire::Response response;
      typename Xen::Response xen_response;
      front_.take(response);
      RING_COPY_RESPONSE(&xen_front_, xen_front_.rsp_cons, &xen_response);
      xen_front_.rsp_cons++;
      ASSERT_EQ(uint64_t{response.id}, uint64_t{xen_response.id});
      ASSERT_EQ(response.operation, xen_response.operation);
      ASSERT_EQ(response.status, xen_response.status);
      completed_++;
    }
  }

  // Xen's final check looks before it asks to be woken; so does every owner of a ring of ours.
  void back_sleeps() {
    bool xen_has_work = false;
    RING_FINAL_CHECK_FOR_REQUESTS(&xen_back_, xen_has_work);
    const bool has_work = back_.look() == RingState::kReady || back_.rearm() == RingState::kReady;
    ASSERT_EQ(has_work, xen_has_work);
    slept_ += has_work ? 0 : 1;
  }

  void front_sleeps() {
    bool xen_has_work = false;
    RING_FINAL_CHECK_FOR_RESPONSES(&xen_front_, xen_has_work);
    const bool has_work = front_.look() == RingState::kReady || front_.rearm() == RingState::kReady;
    ASSERT_EQ(has_work, xen_has_work);
    slept_ += has_work ? 0 : 1;
  }

  struct Taken {
    uint64_t id;
    uint8_t operation;
  };

  RingPages ours_;
  RingPages theirs_;
  std::mt19937_64 random_;
  FrontRing<Wire> front_;
  BackRing<Wire> back_;
  typename Xen::FrontRing xen_front_{};
  typename Xen::BackRing xen_back_{};
  std::deque<Taken> taken_;
  uint64_t completed_ = 0;
  uint64_t notified_ = 0;
  uint64_t slept_ = 0;
};

template <class Xen>
class RingAgainstXen : public ::testing::Test {};
using Abis = ::testing::Types<Xen64, Xen32>;
TYPED_TEST_SUITE(RingAgainstXen, Abis);

TYPED_TEST(RingAgainstXen, SameBytesAndDecisionsAcrossTheWrap) {
  for (size_t pages = 1; pages <= 16; pages *= 2) {
    const uint64_t seed = 0x5eed + pages;
    SCOPED_TRACE(::testing::Message() << pages << " pages, seed " << seed);
    Twins<TypeParam> twins(pages, seed);
    // All slots of a large ring need not be compared after each of millions of steps.
    const uint32_t full_comparison_every = static_cast<uint32_t>(8 * pages);
    for (uint32_t i = 0; i < kStepsPerRing; i++) {
      twins.step();
      if (this->HasFatalFailure()) FAIL() << "step " << i;
      ASSERT_TRUE(twins.same_header()) << "step " << i;
      ASSERT_TRUE(i % full_comparison_every != 0 || twins.same_bytes()) << "step " << i;
    }
    ASSERT_TRUE(twins.same_bytes());
    EXPECT_GT(twins.completed(), kStepsPerRing / 32);  // the indices have wrapped long ago
    EXPECT_GT(twins.notified(), kStepsPerRing / 64);
    EXPECT_GT(twins.slept(), kStepsPerRing / 64);
  }
}

}  // namespace
}  // namespace splitring
