// The control thread of a frontend disk: everything but the moving of data.
//
// It owns the connection to the store and all that is granted; lanes get connections from it and
// give them back through their LaneSlot. Granting, and ending grants, happens on one thread at a
// time: the caller of connect() first, then the control thread, the destructor's at last.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "blkimage/block_device.h"
#include "frontend/disk_options.h"
#include "frontend/handshake.h"
#include "frontend/lane_slot.h"
#include "xenbus/host.h"

namespace splitring::frontend {

class Control {
 public:
  // Connected when it returns. The host must outlive the result.
  static Result<std::unique_ptr<Control>> connect(Host& host, uint32_t device,
                                                  const DiskOptions& options);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // What connect() found.
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] uint32_t device() const { return handshake_.device().device; }
  [[nodiscard]] const std::string& mark() const { return handshake_.mark(); }

  // Begins to watch. `resized` is called on the control thread.
  void start(std::function<void(Sectors)> resized);

  [[nodiscard]] const std::vector<std::unique_ptr<LaneSlot>>& slots() const { return slots_; }
  [[nodiscard]] uint32_t ring_slots() const;
  [[nodiscard]] DiskStatistics statistics() const;

 private:
  enum class End { kStopped, kBackendLeft, kFault, kStoreLost };

  Control(Host& host, const DiskOptions& options, std::unique_ptr<ControlSignal> signal,
          Handshake handshake);

  using Slots = std::vector<std::unique_ptr<LaneSlot>>;
  Result<> make_slots(const BackendOffer& offer);
  Result<Slots> make_slots_of(uint32_t pool_pages, const BackendOffer& offer);
  [[nodiscard]] uint32_t ring_page_order(const BackendOffer& offer) const;
  Result<> shake_hands(Handshake::Deadline deadline);
  Result<std::vector<std::unique_ptr<LaneConnection>>> make_connections(const BackendOffer& offer,
                                                                        FrontendNodes& nodes);
  Result<> check_disk(const DiskNodes& disk) const;
  [[nodiscard]] Geometry geometry_of(const DiskNodes& disk, uint32_t max_segments) const;

  void run();
  End serve();
  void let_finish();
  bool reconnect();
  void regain_store();
  void disable();
  void refresh_capacity();
  void collect_retired();
  [[nodiscard]] bool any_fault() const;
  [[nodiscard]] uint64_t sum(Counter LaneCounters::*counter) const;
  // True while nothing was answered for longer than the request timeout, with requests waiting.
  bool stalled();
  void set_phase(LinkPhase phase);
  void set_last_error(std::string what);
  void nap(std::chrono::milliseconds time);
  [[nodiscard]] bool stopping() const { return signal_->stop.load(std::memory_order_acquire); }
  [[nodiscard]] Handshake::Deadline give_up_time() const;

  Host& host_;
  const DiskOptions options_;
  std::unique_ptr<ControlSignal> signal_;
  Handshake handshake_;
  std::unique_ptr<GrantShare> share_;
  Slots slots_;
  Geometry geometry_;
  std::function<void(Sectors)> resized_;
  bool announced_ = false;  // the backend has been told of rings of ours
  Sectors capacity_;
  std::string instance_;  // of the backend that we are connected to
  RingFault stall_ = RingFault::kNone;
  uint64_t answered_at_last_look_ = 0;
  Handshake::Clock::time_point last_answer_{};

  std::atomic<LinkPhase> phase_{LinkPhase::kWaiting};
  std::atomic<uint64_t> reconnects_{0};
  std::atomic<size_t> quarantined_pages_{0};
  std::atomic<uint32_t> max_lanes_offered_{0};
  std::atomic<uint32_t> ring_pages_{0};
  std::atomic<uint32_t> max_segments_{0};
  mutable std::mutex error_mutex_;
  std::string last_error_;

  std::thread thread_;
};

}  // namespace splitring::frontend
