#include "backend/ring_worker.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <semaphore>

#include "backend/change_notice.h"
#include "backend/data_pages.h"
#include "backend/make_thread.h"
#include "base/unique_fd.h"
#include "ring/back_ring.h"

namespace splitring::backend {
namespace {

// Kept mapped per ring: what a one-page ring of Linux (32 slots of 32 segments) can use, with room
// for the 1024 pages that a userspace frontend has; larger rings share it by the cache's LRU.
constexpr uint32_t kPersistentPages = 2048;
// For grant copies per ring: 1 MiB in flight.
constexpr uint32_t kCopyPages = 256;

}  // namespace

struct RingWorker::Shared {
  explicit Shared(int changed_fd) : notice(changed_fd) {}

  RingConfig config;
  PageBudget::Share budget;
  ChangeNotice notice;
  UniqueFd stop_fd;
  std::binary_semaphore may_begin{0};
  bool cancelled = false;  // written before that is released, if at all
  std::atomic<bool> stop{false};
  std::atomic<Phase> phase{Phase::kStarting};
  std::string error;  // written before an ended phase is stored
  RingCounters counters;

  void enter(Phase next) {
    phase.store(next, std::memory_order_release);
    notice.give();
  }
};

uint32_t RingWorker::pages_needed(size_t ring_pages, bool persistent, uint32_t max_segments) {
  return static_cast<uint32_t>(ring_pages) + max_segments + (persistent ? kPersistentPages : 0);
}

RingWorker::RingWorker(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

Result<std::unique_ptr<RingWorker>> RingWorker::make(RingConfig config, PageBudget::Share share,
                                                     int changed_fd) {
  auto shared = std::make_shared<Shared>(changed_fd);
  shared->config = std::move(config);
  shared->budget = std::move(share);
  shared->stop_fd.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->stop_fd)
    return fail(Errc::kLimit,
                "no descriptor for a ring's thread: " + std::string(std::strerror(errno)) +
                    "; raise the limit of files (LimitNOFILE= of the service)");
  std::unique_ptr<RingWorker> worker(new RingWorker(shared));
  worker->thread_ = TRY(make_thread([shared] { run(shared); }));
  return worker;
}

RingWorker::~RingWorker() {
  if (!thread_.joinable()) return;
  request_stop();
  thread_.join();
}

void RingWorker::begin() {
  begun_ = true;
  shared_->may_begin.release();
}

void RingWorker::request_stop() {
  shared_->stop.store(true);
  if (!begun_) {
    shared_->cancelled = true;
    begin();
  }
  const uint64_t one = 1;
  // Fails only when the counter is full, and then it is readable already.
  static_cast<void>(!::write(shared_->stop_fd.get(), &one, sizeof one));
}

void RingWorker::abandon() {
  shared_->notice.silence();
  request_stop();
  thread_.detach();
}

RingWorker::Phase RingWorker::phase() const {
  return shared_->phase.load(std::memory_order_acquire);
}

const std::string& RingWorker::error() const { return shared_->error; }

const RingCounters& RingWorker::counters() const { return shared_->counters; }

void RingWorker::run(const std::shared_ptr<Shared>& shared) {
  pthread_setname_np(pthread_self(), shared->config.name.substr(0, 15).c_str());
  auto served = serve_or_say_why(*shared);
  shared->config.disk.reset();
  shared->budget = {};
  if (served) return shared->enter(Phase::kStopped);
  shared->error = std::move(served).error().what;
  shared->enter(shared->phase == Phase::kServing ? Phase::kBroken : Phase::kFailed);
}

// Memory is what a ring is set up with; one that serves asks for none.
Result<> RingWorker::serve_or_say_why(Shared& shared) try {
  return serve(shared);
} catch (const std::bad_alloc&) {
  return fail(Errc::kLimit, "no memory for a ring; give this backend more, or fewer devices");
}

Result<RingJournal> RingWorker::open_journal(const RingConfig& config, uint32_t slots) {
  if (config.journal.empty()) return RingJournal::create_unnamed(slots);
  const JournalShape shape{config.journal_token, slots, static_cast<uint32_t>(config.abi)};
  return config.start == PumpStart::kGoOn ? RingJournal::open(config.journal, shape)
                                          : RingJournal::create(config.journal, shape);
}

Result<> RingWorker::serve(Shared& shared) {
  const RingConfig& config = shared.config;
  // Handles of this thread's own: nothing here is shared with another ring.
  const auto table = TRY(config.host->open_grant_table());
  const Mapping ring = TRY(table->map(config.peer, config.ring_refs, Access::kReadWrite));
  const auto channel = TRY(config.host->bind_channel(config.peer, config.port));
  const uint32_t slots = config.abi == blkif::Abi::kX86_32
                             ? RingLayout<blkif::Wire32>(ring.bytes()).slots()
                             : RingLayout<blkif::Wire64>(ring.bytes()).slots();
  RingJournal journal = TRY(open_journal(config, slots));
  // All ABIs have their indices in the same places.
  if (config.start == PumpStart::kFresh)
    journal.start_at(BackRing<blkif::Wire64>(ring.bytes()).consumed_index());
  const auto lane = TRY(config.disk->open_queue({.depth = slots, .polling = config.polling}));
  DataPages::Options options;
  options.peer = config.peer;
  options.slots = slots;
  options.max_segments =
      std::max<uint32_t>(blkif::kMaxSegments, config.limits.indirect_segments_offered);
  options.persistent_pages = config.persistent ? kPersistentPages : 0;
  options.copy_pages = config.persistent ? 0 : kCopyPages;
  options.mapped_pages = options.max_segments;
  DataPages data(*table, options, shared.counters);

  PumpParts parts;
  parts.ring_pages = ring.bytes();
  parts.channel = channel.get();
  parts.lane = lane.get();
  parts.data = &data;
  parts.counters = &shared.counters;
  parts.journal = &journal;
  parts.limits = config.limits;
  parts.polling = config.polling;
  parts.stop = &shared.stop;
  parts.stop_fd = shared.stop_fd.get();
  parts.disk = config.looks_at_capacity ? config.disk.get() : nullptr;
  parts.log_limit = config.log_limit.get();
  parts.name = config.name;
  shared.enter(Phase::kPrepared);
  shared.may_begin.acquire();
  if (shared.cancelled) return {};
  const auto pump = make_pump(config.abi, parts, config.start);
  shared.enter(Phase::kServing);
  if (pump->run() == PumpEnd::kBroken)
    return fail(Errc::kPeer, "the frontend's request producer is impossible");
  return {};
}

}  // namespace splitring::backend
