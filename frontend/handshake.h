// A frontend's part of the conversation in the store: from whatever state a predecessor left, to
// Connected, and back to Closed.
//
// In the order of Linux's xen-blkfront (drivers/block/xen-blkfront.c) and of its reset after a
// crash (drivers/xen/xenbus/xenbus_probe_frontend.c):
//
//   ours          backend's
//   Closing    <- Connected      a connection that is over: of ours, or of a process that died
//   Closed     <- Closing
//   Initialising <- Closed       it comes back, if `online`
//   Initialising    InitWait     prepare() reads what it offers
//   Initialised                  connect() wrote our rings
//   Initialised     Connected    and reads the disk
//   Connected
//
// The backend's word is never trusted: nodes are parsed by xenbus/nodes.h, states that make no
// sense are waited out until the deadline. One owner thread.
//
// A toolstack that takes a disk away and gives one of the same number makes our directory anew: the
// node by which we marked ours is missing then, and nothing is written there any more, for it may
// be another frontend's. The disk that it belonged to has gone for good, whatever is there now.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "frontend/wake_fd.h"
#include "xenbus/device_path.h"
#include "xenbus/host.h"
#include "xenbus/nodes.h"

namespace splitring::frontend {

// How others reach the thread that shakes hands, wherever it sleeps.
struct ControlSignal {
  explicit ControlSignal(WakeFd fd) : wake(std::move(fd)) {}
  WakeFd wake;
  std::atomic<bool> stop{false};
  std::function<void()> on_wake;  // runs on that thread after `wake` was signalled
};

// Below a frontend's directory: which connection of which process it is. Ours alone.
inline constexpr const char* kConnectionNode = "connection";

class Handshake {
 public:
  using Clock = std::chrono::steady_clock;
  using Deadline = std::optional<Clock::time_point>;  // nothing: for ever

  // Finds the device and its backend in the store, and watches the backend. `host` and `signal`
  // must outlive the result. Errors: kNotFound says how to attach a disk.
  static Result<Handshake> open(Host& host, uint32_t device, ControlSignal& signal);

  [[nodiscard]] const DevicePath& device() const { return device_; }
  [[nodiscard]] const std::string& backend_directory() const { return backend_directory_; }
  // What our directory is marked with, in its node kConnectionNode.
  [[nodiscard]] const std::string& mark() const { return mark_; }
  // Of the toolstack: false means that nothing but bounced data may be shared (XSA-403).
  [[nodiscard]] bool trusted() const { return trusted_; }

  // Ends what was and waits until the backend is ready for us. Errors: kTimeout, with what it
  // waited for and what the backend says; kClosed when interrupted, or when the disk is going.
  Result<BackendOffer> prepare(Deadline deadline);
  // Precondition: prepare() succeeded. Tells the backend our rings and waits for it to take them.
  Result<DiskNodes> connect(const FrontendNodes& nodes, Deadline deadline);
  // Leaves the backend, waiting for it until the deadline at most, and removes our nodes.
  void close(Clock::time_point deadline);

  Result<XenbusState> backend_state();
  // BackendOffer::instance as it stands now.
  Result<std::string> backend_instance();
  // Unset when the toolstack has told the backend that the disk goes, or it has gone.
  Result<bool> online();
  Result<DiskNodes> read_disk_nodes() { return read_disk(store_->now(), backend_directory_); }
  Result<> set_state(XenbusState state);
  // Why we gave up, in our `error` node.
  void report(const std::string& message);

  // Sleeps until something that we watch changed, the signal's wake-up came, or the deadline.
  // Errors: kTimeout; kClosed when asked to stop; those of a store that has gone.
  Result<> wait(Deadline deadline);
  // After the store has gone: another connection to it.
  Result<> reopen(Host& host);

 private:
  Handshake(DevicePath device, ControlSignal& signal)
      : device_(std::move(device)), directory_(device_.frontend_directory()), signal_(&signal) {}

  Result<> find_backend();
  Result<> watch_backend();
  Result<bool> step_towards_ready(Deadline& grace);
  Result<> move_to(XenbusState state);
  Result<> check_same_disk(StoreView& store) const;
  Error describe_wait(const std::string& wish, const Error& why);

  DevicePath device_;
  std::string directory_;          // ours
  std::string backend_directory_;  // as the toolstack wrote it
  bool trusted_ = true;
  std::string mark_;
  bool is_marked_ = false;
  std::unique_ptr<Store> store_;
  ControlSignal* signal_;
};

}  // namespace splitring::frontend
