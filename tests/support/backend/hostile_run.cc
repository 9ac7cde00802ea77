#include "tests/support/backend/hostile_run.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/support/backend/pump_bench.h"
#include "tests/support/byte_input.h"

namespace splitring::backend {
namespace {

constexpr uint32_t kPages = 24;
constexpr uint32_t kFirstReadOnly = 16;  // of the guest's pages: these are granted to be read
constexpr uint32_t kFirstPrivate = 20;   // and these not at all
constexpr std::byte kCanary{0x5c};

class HostileRun {
 public:
  explicit HostileRun(std::span<const uint8_t> bytes) : input_(bytes), bench_(options()) {
    for (uint32_t page = kFirstReadOnly; page < kPages; page++) {
      if (page < kFirstPrivate)
        bench_.guest.grant(PumpBench::ref(page), Access::kReadOnly);
      else
        bench_.guest.revoke(PumpBench::ref(page));
      std::fill_n(bench_.page(page).data(), kPageSize, kCanary);
    }
  }

  HostileOutcome run() {
    while (!input_.empty() && outcome_.fault.empty()) step();
    bench_.disk->withhold(false);
    bench_.settle();
    check();
    if (bench_.lane->in_flight() != 0) outcome_.fault = "requests never end";
    if (!bench_.pump->broken() && bench_.counters.in_flight.value() != 0)
      outcome_.fault = "requests without an answer";
    for (uint64_t count : bench_.counters.values().latency) outcome_.answers += count;
    return std::move(outcome_);
  }

 private:
  BenchOptions options() {
    const uint8_t flags = input_.byte();
    BenchOptions options;
    options.abi = (flags & 1) != 0 ? blkif::Abi::kX86_32 : blkif::Abi::kX86_64;
    constexpr std::array kWays = {DataWay::kPersistent, DataWay::kCopied, DataWay::kMapped};
    options.way = kWays[(flags >> 1) % 3];
    options.read_only = (flags & 8) != 0;
    options.block_bytes = (flags & 16) != 0 ? kPageSize : kSectorSize;
    options.barrier = (flags & 32) != 0;
    options.indirect_segments = (flags & 64) != 0 ? 64 : 0;
    options.guest_pages = kPages;
    options.sectors = 64;
    options.persistent_pages = 16;
    options.copy_pages = 16;
    return options;
  }

  void step() {
    switch (input_.byte() % 10) {
      case 0: write_anything(); break;
      case 1:
      case 2:
      case 3: write_request(); break;
      case 4: write_indirect(); break;
      case 5: write_indirect_page(); break;
      case 6: move_index(); break;
      case 7: change_grant(); break;
      case 8: bench_.disk->withhold(input_.byte() % 2 == 0); break;
      default: bench_.pump->turn(); check();
    }
  }

  // The slot that the request producer points at.
  std::span<std::byte> slot() {
    const uint32_t at = bench_.ring.index(RingIndex::kRequestProducer);
    return bench_.ring.slot(at % bench_.frontend->slots(), bench_.frontend->slot_bytes());
  }
  void publish() {
    bench_.ring.set_index(RingIndex::kRequestProducer,
                          bench_.ring.index(RingIndex::kRequestProducer) + 1);
    if (input_.byte() % 4 == 0) return;
    bench_.pump->turn();
    check();
  }

  void write_anything() {
    for (std::byte& b : slot()) b = std::byte{input_.byte()};
    publish();
  }

  uint64_t sector() {
    const uint8_t kind = input_.byte();
    return kind < 240 ? kind % 80 : input_.take<uint64_t>();
  }
  blkif::Segment some_segment() {
    const uint8_t kind = input_.byte();
    const uint32_t ref = kind < 250 ? PumpBench::ref(kind % (kPages + 2)) : input_.take<uint32_t>();
    const uint8_t sectors = input_.byte();
    if (sectors < 128) return {ref, 0, 7, 0};
    return {ref, static_cast<uint8_t>(sectors & 15), static_cast<uint8_t>(input_.byte() & 15), 0};
  }

  template <class Wire>
  void write_request_of() {
    typename Wire::Request request{};
    request.operation = input_.byte() % 8;
    request.segment_count = input_.byte() % 14;
    request.id = input_.byte();
    request.sector = sector();
    const size_t count = std::min<size_t>(request.segment_count, request.segments.size());
    for (size_t i = 0; i < count; i++) request.segments[i] = some_segment();
    std::memcpy(slot().data(), &request, sizeof request);
    publish();
  }
  void write_request() {
    if (bench_.options.abi == blkif::Abi::kX86_32)
      write_request_of<blkif::Wire32>();
    else
      write_request_of<blkif::Wire64>();
  }

  template <class Wire>
  void write_indirect_of() {
    typename Wire::Indirect request{};
    request.operation = blkif::kOpIndirect;
    request.inner_operation = input_.byte() % 4;
    const uint8_t count = input_.byte();
    request.segment_count = count < 240 ? count % 70 : input_.take<uint16_t>();
    request.sector = sector();
    request.page_refs[0] = some_segment().ref;
    std::memcpy(slot().data(), &request, sizeof request);
    publish();
  }
  void write_indirect() {
    if (bench_.options.abi == blkif::Abi::kX86_32)
      write_indirect_of<blkif::Wire32>();
    else
      write_indirect_of<blkif::Wire64>();
  }

  void write_indirect_page() {
    const std::span<std::byte> page = bench_.page(input_.byte() % kFirstReadOnly);
    const uint8_t count = input_.byte() % 65;
    const blkif::Segment first = some_segment();
    const blkif::Segment rest = some_segment();
    for (uint8_t i = 0; i < count; i++)
      std::memcpy(page.data() + size_t{i} * sizeof first, i == 0 ? &first : &rest, sizeof first);
  }

  void move_index() {
    constexpr std::array kIndices = {RingIndex::kRequestProducer, RingIndex::kRequestEvent,
                                     RingIndex::kResponseProducer, RingIndex::kResponseEvent};
    const RingIndex which = kIndices[input_.byte() % kIndices.size()];
    const uint8_t kind = input_.byte();
    const uint32_t now = bench_.ring.index(which);
    if (kind == 0)
      bench_.ring.set_index(which, input_.take<uint32_t>());
    else if (which != RingIndex::kRequestProducer)
      bench_.ring.set_index(which, now + kind);
    else
      bench_.ring.set_index(which, now + kind % 4);
  }

  void change_grant() {
    const uint8_t byte = input_.byte();
    const uint32_t ref = PumpBench::ref(byte % kFirstReadOnly);
    if (byte >= 128)
      bench_.guest.revoke(ref);
    else
      bench_.guest.grant(ref);
  }

  void check() {
    for (uint32_t page = kFirstReadOnly; page < kPages; page++) {
      const auto bytes = bench_.page(page);
      if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != kCanary; }))
        outcome_.fault = "a page was changed that is not ours to write";
    }
    if (bench_.counters.in_flight.value() > bench_.frontend->slots())
      outcome_.fault = "more in flight than slots";
    if (!bench_.options.read_only) return;
    const auto seen = bench_.disk->seen();
    if (std::any_of(seen.begin(), seen.end(),
                    [](const auto& request) { return changes_data(request.operation); }))
      outcome_.fault = "a read-only disk was asked for a change";
  }

  test::ByteInput input_;
  PumpBench bench_;
  HostileOutcome outcome_;
};

}  // namespace

HostileOutcome run_hostile_frontend(std::span<const uint8_t> input) {
  return HostileRun(input).run();
}

}  // namespace splitring::backend
