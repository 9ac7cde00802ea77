// One ring's thread: once it may begin, it sets up everything that the ring needs, serves it, and
// takes all of it down again. The control thread starts and stops it and never waits for it.
//
// A worker that a hanging image keeps can be abandoned: its thread ends by itself when the image
// answers, and what it holds lives as long as it does (B37).
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backend/log_limit.h"
#include "backend/page_budget.h"
#include "backend/ring_counters.h"
#include "backend/ring_pump.h"
#include "base/spin_wait.h"
#include "blkimage/block_device.h"
#include "ring/blkif_request.h"
#include "ring/blkif_wire.h"
#include "xenbus/host.h"

namespace splitring::backend {

struct RingConfig {
  Host* host = nullptr;               // outlives the worker, abandoned or not
  std::shared_ptr<BlockDevice> disk;  // shared by a device's workers
  DomId peer{};
  std::vector<GrantRef> ring_refs;
  Port port{};
  blkif::Abi abi{};
  std::filesystem::path journal;        // empty: nothing outlives this process
  uint64_t journal_token = 0;           // of this connection of the device
  PumpStart start = PumpStart::kFresh;  // kGoOn: as the journal says, which must be there
  blkif::DiskLimits limits;
  bool persistent = false;
  bool looks_at_capacity = false;  // one of a device's workers does
  SpinWait::Mode polling = SpinWait::Mode::kAuto;
  std::shared_ptr<LogLimit> log_limit;  // shared by a device's workers
  std::string name;                     // for log lines and the thread's name
};

class RingWorker {
 public:
  enum class Phase : uint8_t {
    kStarting,
    kPrepared,  // all that may be missing is there, the journal too: waits for begin()
    kServing,
    // Ended:
    kFailed,   // could not be set up: see error()
    kBroken,   // the frontend broke the ring: see error()
    kStopped,  // as asked
  };

  // The budget share covers the pages that the ring may keep mapped. `changed_fd`, an eventfd that
  // outlives the worker, becomes readable at each change of phase.
  // Errors: kLimit: no thread, or no descriptor for it; nothing has happened then.
  static Result<std::unique_ptr<RingWorker>> make(RingConfig config, PageBudget::Share share,
                                                  int changed_fd);
  // Stops and joins, unless abandoned. One that has not begun has taken nothing from its ring and
  // put nothing into it.
  ~RingWorker();
  RingWorker(const RingWorker&) = delete;
  RingWorker& operator=(const RingWorker&) = delete;

  // Once, when prepared.
  void begin();
  void request_stop();
  void abandon();

  [[nodiscard]] Phase phase() const;
  [[nodiscard]] bool ended() const { return phase() >= Phase::kFailed; }
  // Once ended.
  [[nodiscard]] const std::string& error() const;
  [[nodiscard]] const RingCounters& counters() const;

  // Pages that a ring of this shape may keep mapped.
  static uint32_t pages_needed(size_t ring_pages, bool persistent, uint32_t max_segments);

 private:
  struct Shared;
  explicit RingWorker(std::shared_ptr<Shared> shared);
  static void run(const std::shared_ptr<Shared>& shared);
  static Result<> serve_or_say_why(Shared& shared);
  static Result<> serve(Shared& shared);
  static Result<RingJournal> open_journal(const RingConfig& config, uint32_t slots);

  std::shared_ptr<Shared> shared_;
  bool begun_ = false;
  std::thread thread_;
};

}  // namespace splitring::backend
