#include "tools/splitring/disk_load.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <latch>
#include <memory>
#include <string>
#include <thread>

namespace splitring::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRunUp{250};

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

struct Window {
  Clock::time_point begin;  // requests submitted before are not counted
  Clock::time_point end;    // nor those completed later, but for the first one of a lane
};

// One lane with its requests: submits `depth` of them and each again as soon as it completes.
class LaneLoad {
 public:
  static Result<std::unique_ptr<LaneLoad>> open(BlockDevice& disk, const LoadSpec& spec,
                                                uint32_t index);

  // Returns when nothing is in flight any more. Called once, on the lane's own thread.
  void run(const Window& window);

  [[nodiscard]] const LatencyHistogram& latency() const { return latency_; }
  // When the last request that counts was done: at least one does, however slow the disk is.
  [[nodiscard]] Clock::time_point last() const { return last_; }
  [[nodiscard]] IoStatus status() const { return status_; }

 private:
  struct Slot : BlockRequest {
    LaneLoad* owner = nullptr;
    iovec buffer{};
    Clock::time_point submitted;
    IoBuffer pooled;
    std::unique_ptr<void, FreeMemory> heap;  // where the lane's pool has no more
  };

  LaneLoad(const LoadSpec& spec, uint64_t blocks, uint32_t index)
      : spec_(spec),
        blocks_(blocks),
        next_block_(blocks / spec.lanes * index),
        random_(0x9e3779b97f4a7c15U * (index + 1)),
        slots_(spec.depth) {}

  Result<> prepare(Slot& slot);
  void submit(Slot& slot, Clock::time_point now) noexcept;
  void completed(Slot& slot) noexcept;
  uint64_t choose_block() noexcept;

  const LoadSpec& spec_;
  const uint64_t blocks_;
  uint64_t next_block_;
  uint64_t random_;
  Window window_;
  Clock::time_point last_;
  IoStatus status_ = IoStatus::kOk;  // the first failure
  LatencyHistogram latency_;
  std::unique_ptr<BlockQueue> lane_;
  std::vector<Slot> slots_;  // after the lane: their buffers go first
};

Result<std::unique_ptr<LaneLoad>> LaneLoad::open(BlockDevice& disk, const LoadSpec& spec,
                                                 uint32_t index) {
  const uint64_t blocks = disk.geometry().capacity.bytes() / spec.block_bytes;
  std::unique_ptr<LaneLoad> load(new LaneLoad(spec, blocks, index));
  load->lane_ = TRY(disk.open_queue({.depth = spec.depth, .polling = spec.polling}));
  for (Slot& slot : load->slots_) TRY_VOID(load->prepare(slot));
  return load;
}

Result<> LaneLoad::prepare(Slot& slot) {
  slot.owner = this;
  slot.operation = spec_.write ? Operation::kWrite : Operation::kRead;
  slot.complete = [](BlockRequest& request) noexcept {
    auto& done = static_cast<Slot&>(request);
    done.owner->completed(done);
  };
  if (auto pooled = lane_->allocate(spec_.block_bytes)) {
    slot.pooled = std::move(*pooled);
    slot.buffer = {slot.pooled.bytes().data(), spec_.block_bytes};
  } else {
    slot.heap.reset(std::aligned_alloc(kPageSize, round_up(spec_.block_bytes, kPageSize)));
    if (!slot.heap) return fail(Errc::kLimit, "not enough memory for the buffers");
    slot.buffer = {slot.heap.get(), spec_.block_bytes};
  }
  // Not zeroes: a disk may treat those in a shorter way.
  auto* bytes = static_cast<unsigned char*>(slot.buffer.iov_base);
  for (uint32_t i = 0; i < spec_.block_bytes; i++)
    bytes[i] = static_cast<unsigned char>(i * 131 + 7);
  slot.buffers = {&slot.buffer, 1};
  return {};
}

uint64_t LaneLoad::choose_block() noexcept {
  if (!spec_.random) {
    const uint64_t block = next_block_;
    next_block_ = next_block_ + 1 == blocks_ ? 0 : next_block_ + 1;
    return block;
  }
  // xorshift64 (Marsaglia), scaled to the disk by the high half of a product.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(random_) * blocks_ >> 64);
}

void LaneLoad::submit(Slot& slot, Clock::time_point now) noexcept {
  slot.first = Sectors::from_bytes(choose_block() * spec_.block_bytes);
  slot.submitted = now;
  lane_->submit(slot);
}

void LaneLoad::completed(Slot& slot) noexcept {
  const Clock::time_point now = Clock::now();
  if (slot.status != IoStatus::kOk && status_ == IoStatus::kOk) status_ = slot.status;
  const bool over = now >= window_.end && latency_.total() != 0;
  if (over || status_ != IoStatus::kOk) return;
  if (slot.submitted >= window_.begin) {
    latency_.record(static_cast<uint64_t>(std::chrono::nanoseconds(now - slot.submitted).count()));
    last_ = now;
    if (now >= window_.end) return;
  }
  submit(slot, now);
}

void LaneLoad::run(const Window& window) {
  window_ = window;
  const Clock::time_point now = Clock::now();
  for (Slot& slot : slots_) submit(slot, now);
  lane_->kick();
  lane_->drain();
}

Result<> pin_this_thread(uint32_t cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
  if (error != 0) return fail_errno("pinning to CPU " + std::to_string(cpu), error);
  return {};
}

// What a process has used so far, in microseconds. 0: this one.
Result<double> cpu_time_us(int process) {
  clockid_t clock{};
  timespec time{};
  if (const int error = clock_getcpuclockid(process, &clock); error != 0)
    return fail_errno("the CPU time of process " + std::to_string(process), error);
  if (clock_gettime(clock, &time) != 0)
    return fail_errno("the CPU time of process " + std::to_string(process), errno);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

struct CpuTimes {
  double client_us = 0;
  double server_us = 0;
};

Result<CpuTimes> cpu_times(const LoadSpec& spec) {
  CpuTimes times;
  times.client_us = TRY(cpu_time_us(0));
  if (spec.server_process) times.server_us = TRY(cpu_time_us(*spec.server_process));
  return times;
}

Result<> check_spec(const BlockDevice& disk, const LoadSpec& spec) {
  const Geometry geometry = disk.geometry();
  if (spec.block_bytes == 0 || spec.block_bytes % geometry.logical_block_bytes != 0)
    return fail(Errc::kInvalid, "requests of " + std::to_string(spec.block_bytes) +
                                    " bytes are no multiple of the disk's blocks of " +
                                    std::to_string(geometry.logical_block_bytes));
  if (geometry.capacity.bytes() / spec.block_bytes < spec.lanes)
    return fail(Errc::kInvalid, "the disk is smaller than one request of each lane");
  if (spec.write && geometry.read_only) return fail(Errc::kPermission, "the disk is read-only");
  for (const uint32_t cpu : spec.cpus)
    if (cpu >= CPU_SETSIZE) return fail(Errc::kInvalid, "there is no CPU " + std::to_string(cpu));
  return {};
}

// What one lane's thread hands back.
struct LaneResult {
  Result<> done;
  LatencyHistogram latency;
  Clock::time_point last;
};

// All lanes' threads wait for each other, so that the window opens when all disks are open.
struct Start {
  explicit Start(uint32_t lanes) : ready(lanes) {}
  std::latch ready;
  std::latch go{1};
  Window window;  // set before `go`
};

// A lane belongs to the thread that opens it, so opening is the thread's own first work.
void run_lane(BlockDevice& disk, const LoadSpec& spec, uint32_t index, Start& start,
              LaneResult& result) {
  if (!spec.cpus.empty()) result.done = pin_this_thread(spec.cpus[index % spec.cpus.size()]);
  std::unique_ptr<LaneLoad> load;
  if (result.done) {
    if (auto opened = LaneLoad::open(disk, spec, index))
      load = std::move(*opened);
    else
      result.done = tl::unexpected(std::move(opened).error());
  }
  start.ready.count_down();
  start.go.wait();
  if (!load) return;
  load->run(start.window);
  result.latency = load->latency();
  result.last = load->last();
  if (load->status() != IoStatus::kOk)
    result.done = fail(errc_from(load->status()),
                       std::string("a request failed: ") + to_string(load->status()));
}

Result<LoadReport> summarize(const std::vector<LaneResult>& results, const LoadSpec& spec,
                             const Window& window, const CpuTimes& before, const CpuTimes& after) {
  LoadReport report;
  Clock::time_point end = window.end;
  for (const LaneResult& result : results) {
    TRY_VOID(result.done);
    report.latency.add(result.latency);
    end = std::max(end, result.last);
  }
  const auto count = static_cast<double>(report.latency.total());
  report.seconds = std::chrono::duration<double>(end - window.begin).count();
  report.client_cpu_us_per_io = (after.client_us - before.client_us) / count;
  if (spec.server_process)
    report.server_cpu_us_per_io = (after.server_us - before.server_us) / count;
  return report;
}

}  // namespace

Result<LoadReport> run_load(BlockDevice& disk, const LoadSpec& spec) {
  TRY_VOID(check_spec(disk, spec));
  std::vector<LaneResult> results(spec.lanes);
  Start start(spec.lanes);
  std::vector<std::jthread> threads;
  for (uint32_t i = 0; i < spec.lanes; i++)
    threads.emplace_back([&, i] { run_lane(disk, spec, i, start, results[i]); });
  start.ready.wait();
  const Clock::time_point begin = Clock::now() + kRunUp;
  start.window = {begin, begin + spec.duration};
  start.go.count_down();
  std::this_thread::sleep_until(start.window.begin);
  const auto before = cpu_times(spec);
  std::this_thread::sleep_until(start.window.end);
  const auto after = cpu_times(spec);
  threads.clear();
  TRY_VOID(before);
  TRY_VOID(after);
  return summarize(results, spec, start.window, *before, *after);
}

}  // namespace splitring::tools
