#include "tests/support/backend/hand_frontend.h"

#include <algorithm>
#include <cstring>

#include "ring/front_ring.h"

namespace splitring::backend {
namespace {

template <class Wire>
class WireFrontend final : public HandFrontend {
 public:
  WireFrontend(std::span<std::byte> pages, uint32_t first) : ring_(pages, first) {}

  void push(const HandRequest& request) override {
    typename Wire::Request wire{};
    wire.operation = request.operation;
    wire.segment_count =
        static_cast<uint8_t>(request.segment_count < 0 ? static_cast<int>(request.segments.size())
                                                       : request.segment_count);
    wire.handle = request.handle;
    wire.id = request.id;
    wire.sector = request.sector;
    const size_t count = std::min(request.segments.size(), wire.segments.size());
    std::copy_n(request.segments.begin(), count, wire.segments.begin());
    ring_.push(wire, count);
  }

  void push(const HandIndirect& request) override {
    typename Wire::Indirect wire{};
    wire.operation = blkif::kOpIndirect;
    wire.inner_operation = request.inner_operation;
    wire.segment_count = request.segment_count;
    wire.id = request.id;
    wire.sector = request.sector;
    wire.page_refs = request.page_refs;
    ring_.push(wire);
  }

  void push_discard(uint64_t id, uint64_t sector, uint64_t count, uint8_t flags) override {
    typename Wire::Discard wire{};
    wire.operation = blkif::kOpDiscard;
    wire.flags = flags;
    wire.id = id;
    wire.sector = sector;
    wire.sector_count = count;
    ring_.push(wire);
  }

  bool publish() override { return ring_.publish(); }

  std::vector<HandAnswer> answers() override {
    std::vector<HandAnswer> all;
    while (ring_.rearm() == RingState::kReady) {
      typename Wire::Response wire;
      ring_.take(wire);
      HandAnswer answer{wire.id, wire.operation, wire.status, std::vector<std::byte>(sizeof wire)};
      std::memcpy(answer.bytes.data(), &wire, sizeof wire);
      all.push_back(std::move(answer));
    }
    return all;
  }

  [[nodiscard]] uint32_t slots() const override { return ring_.slots(); }
  [[nodiscard]] uint32_t free_slots() const override { return ring_.free_slots(); }
  [[nodiscard]] size_t slot_bytes() const override { return sizeof(typename Wire::Request); }

 private:
  FrontRing<Wire> ring_;
};

}  // namespace

std::unique_ptr<HandFrontend> HandFrontend::make(blkif::Abi abi, std::span<std::byte> pages,
                                                 uint32_t first) {
  if (abi == blkif::Abi::kX86_32)
    return std::make_unique<WireFrontend<blkif::Wire32>>(pages, first);
  return std::make_unique<WireFrontend<blkif::Wire64>>(pages, first);
}

}  // namespace splitring::backend
