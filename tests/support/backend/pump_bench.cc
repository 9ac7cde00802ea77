#include "tests/support/backend/pump_bench.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace splitring::backend {
namespace {

// More than any honest amount of work here: what does not settle by then never does.
constexpr int kMaxTurns = 100'000;

Geometry geometry_of(const BenchOptions& options) {
  Geometry geometry;
  geometry.capacity = {options.sectors};
  geometry.logical_block_bytes = options.block_bytes;
  geometry.read_only = options.read_only;
  geometry.discard_granularity_bytes = options.discard ? options.block_bytes : 0;
  return geometry;
}

DataPages::Options data_options(const BenchOptions& options, uint32_t slots) {
  DataPages::Options data;
  data.peer = GuestPages::kGuest;
  data.slots = slots;
  data.max_segments = std::max<uint32_t>(blkif::kMaxSegments, options.indirect_segments);
  data.persistent_pages = options.way == DataWay::kPersistent ? options.persistent_pages : 0;
  data.copy_pages = options.way == DataWay::kCopied ? options.copy_pages : 0;
  data.mapped_pages = options.mapped_pages;
  return data;
}

}  // namespace

PumpBench::PumpBench(const BenchOptions& asked)
    : options(asked),
      guest(asked.guest_pages),
      ring(asked.ring_pages),
      frontend(HandFrontend::make(asked.abi, ring.bytes(), asked.first_index)),
      stop_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  guest.grant_all();
  if (options.disk == nullptr) disk = std::make_unique<ScriptedDisk>(geometry_of(options));
  auto made = RingJournal::create_unnamed(frontend->slots());
  if (!made) throw std::runtime_error(made.error().what);
  journal = std::make_unique<RingJournal>(std::move(*made));
  make(PumpStart::kFresh);
}

void PumpBench::make(PumpStart start) {
  BlockDevice& below = options.disk != nullptr ? *options.disk : *disk;
  auto opened = below.open_queue({.depth = frontend->slots(), .polling = options.polling});
  if (!opened) throw std::runtime_error(opened.error().what);
  lane = std::move(*opened);
  data = std::make_unique<DataPages>(guest, data_options(options, frontend->slots()), counters);

  PumpParts parts;
  parts.ring_pages = ring.bytes();
  parts.channel = &channel;
  parts.lane = lane.get();
  parts.data = data.get();
  parts.counters = &counters;
  parts.journal = journal.get();
  parts.limits.capacity = below.geometry().capacity;
  parts.limits.block_bytes = below.geometry().logical_block_bytes;
  parts.limits.read_only = below.geometry().read_only;
  parts.limits.barrier_offered = options.barrier;
  parts.limits.discard_offered = options.discard;
  parts.limits.indirect_segments_offered = options.indirect_segments;
  parts.polling = options.polling;
  parts.stop = &stop_;
  parts.stop_fd = stop_fd_.get();
  parts.log_limit = &log_limit;
  parts.name = "test";
  if (start == PumpStart::kFresh)
    journal->start_at(BackRing<blkif::Wire64>(ring.bytes()).consumed_index());
  pump = make_pump(options.abi, parts, start);
}

PumpBench::~PumpBench() {
  if (disk) disk->withhold(false);
  if (thread_.joinable()) stop();
  lane->drain();
  pump.reset();
  data.reset();
  EXPECT_EQ(guest.mapped_pages(), 0U) << "pages of the guest are still mapped";
}

void PumpBench::kill() {
  if (disk) disk->forget();
  pump.reset();
  data.reset();
  lane.reset();
  make(PumpStart::kGoOn);
}

void PumpBench::write_indirect_page(uint32_t index, std::span<const blkif::Segment> segments) {
  std::memcpy(page(index).data(), segments.data(), segments.size_bytes());
}

void PumpBench::settle() {
  for (int turns = 0; pump->turn(); turns++)
    if (turns == kMaxTurns) throw std::runtime_error("the pump never comes to rest");
}

std::vector<HandAnswer> PumpBench::serve() {
  static_cast<void>(frontend->publish());
  settle();
  return frontend->answers();
}

HandAnswer PumpBench::only_answer() {
  std::vector<HandAnswer> answers = serve();
  EXPECT_EQ(answers.size(), 1U);
  return answers.empty() ? HandAnswer{} : answers.front();
}

HandAnswer PumpBench::ask(const HandRequest& request) {
  frontend->push(request);
  return only_answer();
}

HandAnswer PumpBench::ask(const HandIndirect& request) {
  frontend->push(request);
  return only_answer();
}

HandAnswer PumpBench::ask_discard(uint64_t id, uint64_t sector, uint64_t count, uint8_t flags) {
  frontend->push_discard(id, sector, count, flags);
  return only_answer();
}

void PumpBench::start() {
  thread_ = std::thread([this] { end_ = pump->run(); });
}

PumpEnd PumpBench::stop() {
  stop_.store(true);
  const uint64_t one = 1;
  static_cast<void>(!::write(stop_fd_.get(), &one, sizeof one));
  thread_.join();
  return end_;
}

void PumpBench::show() {
  if (frontend->publish()) channel.ring();
}

bool PumpBench::wait_for_answers(size_t count, std::vector<HandAnswer>& answers) {
  return wait_until([&] {
    for (HandAnswer& answer : frontend->answers()) answers.push_back(std::move(answer));
    return answers.size() >= count;
  });
}

}  // namespace splitring::backend
