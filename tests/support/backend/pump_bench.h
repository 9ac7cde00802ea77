// A pump with everything around it in the test's own hands: guest pages, a frontend driven request
// by request, a scripted disk. The test plays the frontend in the pump's own thread, or gives the
// pump one.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "backend/data_pages.h"
#include "backend/log_limit.h"
#include "backend/ring_counters.h"
#include "backend/ring_pump.h"
#include "base/unique_fd.h"
#include "tests/support/backend/counting_channel.h"
#include "tests/support/backend/guest_pages.h"
#include "tests/support/backend/hand_frontend.h"
#include "tests/support/backend/scripted_disk.h"
#include "tests/support/ring/ring_pages.h"

namespace splitring::backend {

struct BenchOptions {
  blkif::Abi abi = blkif::Abi::kX86_64;
  DataWay way = DataWay::kCopied;
  uint32_t ring_pages = 1;
  uint32_t guest_pages = 64;
  uint64_t sectors = 2048;
  uint32_t block_bytes = kSectorSize;
  bool read_only = false;
  bool barrier = true;
  bool discard = true;
  uint16_t indirect_segments = 32;
  uint32_t persistent_pages = 128;
  uint32_t copy_pages = 128;
  uint32_t mapped_pages = 8192;
  uint32_t first_index = 0;  // of both ring counters
  SpinWait::Mode polling = SpinWait::Mode::kOff;
  BlockDevice* disk = nullptr;  // instead of a scripted one; outlives the bench
};

class PumpBench {
 public:
  explicit PumpBench(const BenchOptions& options);
  ~PumpBench();

  // Of the `index`th page of the guest. All pages are granted at first.
  static uint32_t ref(uint32_t index) { return GuestPages::kFirstRef + index; }
  [[nodiscard]] std::span<std::byte> page(uint32_t index) { return guest.page(ref(index)); }
  // Writes segment descriptors where an indirect request finds them: page `index`.
  void write_indirect_page(uint32_t index, std::span<const blkif::Segment> segments);

  // Turns the pump until nothing moves.
  void settle();
  // What was pushed, shown and served: its answers.
  std::vector<HandAnswer> serve();
  // Pushes, serves, and gives the one answer there must be; adds a failure if not.
  HandAnswer ask(const HandRequest& request);
  HandAnswer ask(const HandIndirect& request);
  HandAnswer ask_discard(uint64_t id, uint64_t sector, uint64_t count, uint8_t flags = 0);

  // The pump's process is killed: what the disk has not answered it has not done, and another pump
  // goes on with the journal. Precondition: no thread.
  void kill();

  // Gives the pump a thread, until stop(), which returns how it ended.
  void start();
  PumpEnd stop();
  // Collects answers until there are `count` in all, ringing nothing; false after a minute.
  bool wait_for_answers(size_t count, std::vector<HandAnswer>& answers);
  // Shows what was pushed and rings if the pump asks for it.
  void show();

  BenchOptions options;
  GuestPages guest;
  RingPages ring;
  std::unique_ptr<ScriptedDisk> disk;
  RingCounters counters;
  CountingChannel channel;
  LogLimit log_limit;
  std::unique_ptr<HandFrontend> frontend;
  std::unique_ptr<BlockQueue> lane;
  std::unique_ptr<DataPages> data;
  std::unique_ptr<RingJournal> journal;
  std::unique_ptr<Pump> pump;

 private:
  HandAnswer only_answer();
  void make(PumpStart start);

  std::atomic<bool> stop_{false};
  UniqueFd stop_fd_;
  std::thread thread_;
  PumpEnd end_ = PumpEnd::kStopped;
};

// The `index`th page of the guest as a segment.
inline blkif::Segment segment(uint32_t index, uint8_t first = 0, uint8_t last = 7) {
  return {PumpBench::ref(index), first, last, 0};
}

// Looks again and again, without sleeping, until `done` or a minute has passed; false then.
template <class Done>
bool wait_until(Done&& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace splitring::backend
