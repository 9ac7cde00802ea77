// One disk given to one guest: its life in the store, its image, its rings.
//
// A device is stepped by the control thread whenever something about it may have changed. A step
// reads what is there, once, and moves towards what it asks for: steps may be skipped, repeated and
// merged, so that no order of events can confuse it (B30). What a guest can write is read in no
// transaction: it could make each of them fail.
#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/image_opening.h"
#include "backend/log_limit.h"
#include "backend/page_budget.h"
#include "backend/report.h"
#include "backend/ring_worker.h"
#include "backend/step_share.h"

namespace splitring::backend {

// What the devices of a backend share.
struct DeviceContext {
  Host* host = nullptr;
  const DiskSchemes* schemes = nullptr;
  const BackendOptions* options = nullptr;
  PageBudget* budget = nullptr;
  int changed_fd = -1;  // an eventfd: a worker changed
};

class Device {
 public:
  Device(DevicePath path, const DeviceContext& context);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // An error is one of the store's: the device is unchanged and can be stepped again.
  Result<> step(Store& store);
  // What has come of a step that failed: says so.
  void step_failed(const Error& error);
  // The guest has written: true if it is to be stepped for that now, and not a little later.
  [[nodiscard]] bool may_step(StepShare::Clock::time_point now) { return step_share_.take(now); }
  // The guest has died: it will never answer (B33).
  void domain_died() { domain_dead_ = true; }
  // Asks all rings to end; they have when idle() says so.
  void stop();
  [[nodiscard]] bool idle() const;
  // Its image, or its rings' journals, were in use a moment ago: step it again soon.
  [[nodiscard]] bool image_busy() const;
  // True once its directory has gone and nothing of it runs: forget it.
  [[nodiscard]] bool finished() const { return finished_; }
  // Leaves threads that do not end to themselves.
  void abandon();
  // After stop(), once idle() or out of patience: leaves what the process after us needs to go on
  // with these rings.
  void leave_to_successor(Store& store) const;

  [[nodiscard]] const DevicePath& path() const { return path_; }
  [[nodiscard]] DeviceReport report() const;

 private:
  struct Snapshot;  // of both directories

  Result<Snapshot> read(Store& store) const;
  Result<> reconcile(Store& store, const Snapshot& now);
  Result<> follow_frontend(Store& store, const Snapshot& now);
  Result<> first_sight(Store& store, const Snapshot& now);
  Result<> tell_offer(Store& store, const Snapshot& now);
  Result<> answer_script(Store& store);
  Result<bool> go_on(Store& store, const Snapshot& now);
  Result<> take_up_rings(Store& store, const Snapshot& now);
  void wait_for(const std::string& why);
  Result<> speak_for_ourselves(Store& store);
  [[nodiscard]] bool wait_for_predecessor(const Snapshot& now);
  [[nodiscard]] bool keep_waiting(const Snapshot& now, const std::string& why);
  [[nodiscard]] bool survives_us() const;
  Result<> begin_journals(Store& store);
  void remove_journals() const;
  Result<bool> open_image(Store& store, const Snapshot& now);
  Result<> refuse_image(Store& store, const Snapshot& now, std::string why);
  Result<> connect(Store& store);
  Result<> make_workers(const FrontendNodes& frontend);
  Result<> begin_workers(Store& store);
  Result<> watch_workers(Store& store);
  Result<> wait_for_workers(Store& store);
  Result<> tell_disk(Store& store);
  Result<> check_capacity(Store& store);
  Result<> give_up(Store& store, std::string why);
  Result<> enter(Store& store, XenbusState state);
  Result<> remove_directory(Store& store) const;
  Result<> change(Store& store, const std::function<Result<>(StoreView&)>& body) const;
  [[nodiscard]] bool hangs() const;
  void stop_workers(const char* why);
  void reap_workers();
  // For lines that a guest can cause.
  template <class... Args>
  void log(spdlog::level::level_enum level, fmt::format_string<Args...> format, Args&&... args);
  [[nodiscard]] DiskNodes disk_nodes() const;
  [[nodiscard]] blkif::DiskLimits disk_limits() const;

  DevicePath path_;
  DeviceContext context_;
  std::string name_;  // "vbd 3/xvda"

  BackendOffer offer_;  // to this frontend: the backend's, or more (backend/handover.h)
  std::string target_;  // as opened
  bool discard_enabled_ = true;
  std::unique_ptr<ImageOpening> opening_;  // under way
  std::shared_ptr<BlockDevice> disk_;
  std::optional<std::chrono::steady_clock::time_point> busy_since_;
  StepShare step_share_;
  uint64_t steps_ = 0;
  bool offered_ = false;  // tell_offer() has
  bool seen_ = false;     // first_sight() is over
  bool domain_dead_ = false;
  bool finished_ = false;
  bool begun_ = false;      // these workers have
  bool connected_ = false;  // state Connected was written for these workers
  bool draining_ = false;   // the workers were asked to end
  std::chrono::steady_clock::time_point draining_since_{};
  XenbusState own_ = XenbusState::kUnknown;  // as the store has it
  std::string error_;

  std::optional<uint64_t> journal_token_;  // of this connection, if it has journals
  PumpStart start_ = PumpStart::kFresh;    // of its rings
  std::vector<std::unique_ptr<RingWorker>> workers_;
  uint32_t ring_pages_ = 0;
  blkif::Abi abi_{};
  bool persistent_ = false;
  Sectors told_capacity_;  // as the frontend knows it
  CounterValues past_;     // of rings that have ended
  std::shared_ptr<LogLimit> log_limit_ = std::make_shared<LogLimit>();
};

}  // namespace splitring::backend
