// A Backend on an emulated host, both on threads of the test, with a toolstack's hands: attaching,
// detaching, and waiting for what the store says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "backend/backend.h"
#include "base/unique_fd.h"
#include "tests/support/backend/scripted_disk.h"
#include "tests/support/must.h"
#include "tests/support/xenbus/emulated_machine_thread.h"
#include "xenbus/device_path.h"

namespace splitring::backend {

class LiveBackend {
 public:
  // Guests 1 and 2. Besides raw: and mem: there are disks "script:NAME" of 1 MiB.
  explicit LiveBackend(const BackendOptions& options = {});
  ~LiveBackend();

  // Ends the Backend, as a daemon that is restarted does; what it served stays in the store.
  void stop();
  void start();
  // Between the two: as if it had been killed.
  void forget_rest(const DevicePath& path);

  // What libxl writes, in its order, in one transaction. `nodes` go over it: {"mode", "r"}.
  using Nodes = std::map<std::string, std::string>;
  void attach(const DevicePath& path, const std::string& target, const Nodes& nodes = {});
  // libxl's wish for the end: online=0 and state=5.
  void ask_to_close(const DevicePath& path);
  // Both directories vanish.
  void remove(const DevicePath& path);

  static DevicePath path(unsigned domain = 1, uint32_t device = 51712);
  [[nodiscard]] std::string read(const std::string& path);
  void write(const std::string& path, const std::string& value);
  // Until the node `path` satisfies `done` (a missing one is ""); false after a minute.
  bool wait_for(const std::string& path, const std::function<bool(const std::string&)>& done);
  bool wait_for_state(const DevicePath& path, XenbusState state);
  // Until report() satisfies `done`; false after a minute.
  bool wait_for_report(const std::function<bool(const std::vector<DeviceReport>&)>& done);
  // Until the device has been looked at anew, however much its guest has written before.
  void wait_for_step(const DevicePath& path);
  // Until everything that was written before this call has been seen by the backend; of a guest
  // that has not used up its share of steps.
  void settle();

  [[nodiscard]] std::unique_ptr<Host> guest(unsigned domain) { return machine.host(domain); }
  // Of domain 0: what the backend holds.
  [[nodiscard]] DomainCounts held();
  // Until domain 0 holds what `counts` says; false after a minute.
  bool wait_until_held(const DomainCounts& counts);
  // The latest that was opened under that name.
  [[nodiscard]] ScriptedDisk& scripted(const std::string& name);

  // Runs on a thread of the backend when it opens a disk "script:NAME", of which "fails" does not
  // open. Set while nothing is attached.
  std::function<void()>& when_opened() { return openings_->when_opened; }

  testing::EmulatedMachineThread machine{2};
  Backend* backend = nullptr;

 private:
  // An opening that nobody waits for may end after all else.
  struct Openings {
    std::function<void()> when_opened = [] {};
    std::mutex mutex;  // of what follows
    std::map<std::string, ScriptedDisk*> disks;
  };

  void serve();

  std::shared_ptr<Openings> openings_ = std::make_shared<Openings>();
  BackendOptions options_;
  DiskSchemes schemes_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Store> store_;  // the toolstack's
  EmulatedControl control_;
  std::unique_ptr<Backend> owned_;
  UniqueFd stop_;
  std::thread thread_;
  int settled_ = 0;
};

}  // namespace splitring::backend
