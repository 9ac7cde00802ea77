// Moves requests from one ring to one lane and answers back. The hot path of the backend: it takes
// no lock and makes no allocation per request.
//
// Every request taken gets exactly one answer, with its own id and operation. What the frontend did
// wrong is answered with an error and counted; an impossible producer index stops the ring.
//
// The thread that runs a pump owns everything in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/data_pages.h"
#include "backend/log_limit.h"
#include "backend/ring_counters.h"
#include "backend/ring_journal.h"
#include "base/spin_wait.h"
#include "blkimage/block_device.h"
#include "grant/event_channel.h"
#include "ring/back_ring.h"
#include "ring/blkif_request.h"

namespace splitring::backend {

struct PumpParts {
  std::span<std::byte> ring_pages;  // mapped by the caller
  EventChannel* channel = nullptr;
  BlockQueue* lane = nullptr;
  DataPages* data = nullptr;
  RingCounters* counters = nullptr;
  RingJournal* journal = nullptr;  // of as many slots as the ring; says where to start in it
  blkif::DiskLimits limits;        // capacity is looked up again as it changes
  SpinWait::Mode polling = SpinWait::Mode::kAuto;
  const std::atomic<bool>* stop = nullptr;
  int stop_fd = -1;               // readable once *stop is set
  BlockDevice* disk = nullptr;    // to look at its capacity once a second; null: others do
  LogLimit* log_limit = nullptr;  // the device's
  std::string name;               // for log lines: "vbd 3/xvda queue 0"
};

enum class PumpEnd : uint8_t {
  kStopped,  // as asked; everything taken was answered
  kBroken,   // the frontend wrote an impossible producer index
};

class Pump {
 public:
  virtual ~Pump() = default;
  // Serves until *stop is set or the ring breaks; then finishes what is in flight, and what the
  // frontend has put into the ring until then.
  virtual PumpEnd run() = 0;
  // One round: takes a bounded number of requests, starts them, answers what is done (B3). True if
  // anything moved. For a test or a fuzzer that plays the frontend in the same thread.
  virtual bool turn() = 0;
  [[nodiscard]] virtual bool broken() const = 0;
};

// How a pump comes to its ring.
enum class PumpStart : uint8_t {
  kFresh,  // nobody has taken anything by this journal
  kGoOn,   // as the journal says: what was taken and not answered is done, perhaps once more
};

std::unique_ptr<Pump> make_pump(blkif::Abi abi, const PumpParts& parts,
                                PumpStart start = PumpStart::kFresh);

}  // namespace splitring::backend
