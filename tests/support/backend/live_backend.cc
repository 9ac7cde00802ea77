#include "tests/support/backend/live_backend.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <chrono>
#include <stdexcept>

#include "backend/handover.h"
#include "xenbus/nodes.h"

namespace splitring::backend {
namespace {

using std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::minutes(1);

}  // namespace

LiveBackend::LiveBackend(const BackendOptions& options)
    : options_(options),
      schemes_(DiskSchemes::images()),
      host_(machine.host(0)),
      store_(must(host_->open_store())),
      control_(machine.control()),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  schemes_.add(
      "script", "script:NAME",
      [openings = openings_](const DiskUri& uri,
                             const OpenOptions& open) -> Result<std::unique_ptr<BlockDevice>> {
        openings->when_opened();
        if (uri.target == "fails") return fail(Errc::kIo, "this disk fails to open");
        Geometry geometry;
        geometry.capacity = {2048};
        geometry.read_only = open.read_only;
        geometry.discard_granularity_bytes = kSectorSize;
        auto disk = std::make_unique<ScriptedDisk>(geometry);
        const std::lock_guard lock(openings->mutex);
        openings->disks[uri.target] = disk.get();
        return disk;
      });
  start();
}

LiveBackend::~LiveBackend() { stop(); }

void LiveBackend::start() {
  owned_ = must(Backend::start(*host_, schemes_, options_));
  backend = owned_.get();
  thread_ = std::thread([this] { serve(); });
}

void LiveBackend::stop() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
  eventfd_t ignored = 0;
  ::eventfd_read(stop_.get(), &ignored);
  owned_.reset();
  backend = nullptr;
}

void LiveBackend::forget_rest(const DevicePath& path) {
  must(store_->now().remove(path.backend_directory() + "/" + kRestNode));
}

void LiveBackend::serve() {
  for (;;) {
    std::array<pollfd, 2> fds = {{{backend->fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (fds[1].revents != 0) return;
    backend->process();
  }
}

DevicePath LiveBackend::path(unsigned domain, uint32_t device) {
  return {"vbd", DomId{0}, DomId{static_cast<uint16_t>(domain)}, device};
}

void LiveBackend::attach(const DevicePath& path, const std::string& target, const Nodes& nodes) {
  using Rights = StorePermission::Rights;
  const std::string back = path.backend_directory();
  const std::string front = path.frontend_directory();
  Nodes backend_nodes = {{"frontend", front}, {"frontend-id", std::to_string(raw(path.frontend))},
                         {"online", "1"},     {"params", target},
                         {"mode", "w"},       {"state", "1"}};
  for (const auto& [name, value] : nodes) backend_nodes[name] = value;
  must(store_->transact([&](StoreView& view) -> Result<> {
    TRY_VOID(view.make_directory(front));
    TRY_VOID(
        view.set_permissions(front, {{path.frontend, Rights::kNone}, {DomId{0}, Rights::kRead}}));
    TRY_VOID(view.make_directory(back));
    TRY_VOID(
        view.set_permissions(back, {{DomId{0}, Rights::kNone}, {path.frontend, Rights::kRead}}));
    for (const auto& [name, value] : backend_nodes) TRY_VOID(view.write(back + "/" + name, value));
    TRY_VOID(view.write(front + "/backend", back));
    TRY_VOID(view.write(front + "/backend-id", "0"));
    return view.write(front + "/state", "1");
  }));
}

void LiveBackend::ask_to_close(const DevicePath& path) {
  must(store_->transact([&](StoreView& view) -> Result<> {
    TRY_VOID(view.write(path.backend_directory() + "/online", "0"));
    return view.write(path.backend_directory() + "/state", "5");
  }));
}

void LiveBackend::remove(const DevicePath& path) {
  must(store_->transact([&](StoreView& view) -> Result<> {
    TRY_VOID(view.remove(path.frontend_directory()));
    return view.remove(path.backend_directory());
  }));
}

std::string LiveBackend::read(const std::string& path) {
  return must(read_optional(store_->now(), path)).value_or("");
}

void LiveBackend::write(const std::string& path, const std::string& value) {
  must(store_->now().write(path, value));
}

bool LiveBackend::wait_for(const std::string& path,
                           const std::function<bool(const std::string&)>& done) {
  must(store_->watch(path, "wait"));
  const auto end = steady_clock::now() + kPatience;
  bool good = false;
  while (!(good = done(read(path))) && steady_clock::now() < end) {
    pollfd entry{store_->fd(), POLLIN, 0};
    ::poll(&entry, 1, 1000);
    while (store_->next_event()) {
    }
  }
  must(store_->unwatch(path, "wait"));
  while (store_->next_event()) {
  }
  return good;
}

bool LiveBackend::wait_for_state(const DevicePath& path, XenbusState state) {
  return wait_for(path.backend_directory() + "/state",
                  [&](const std::string& value) { return value == to_node(state); });
}

bool LiveBackend::wait_for_report(
    const std::function<bool(const std::vector<DeviceReport>&)>& done) {
  const auto end = steady_clock::now() + kPatience;
  while (!done(backend->report())) {
    if (steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

void LiveBackend::wait_for_step(const DevicePath& path) {
  const auto steps = [&](const std::vector<DeviceReport>& devices) {
    const auto found = std::ranges::find(devices, path, &DeviceReport::path);
    return found == devices.end() ? 0 : found->steps;
  };
  const uint64_t before = steps(backend->report());
  if (!wait_for_report([&](const auto& devices) { return steps(devices) > before; }))
    throw std::runtime_error("the backend does not look at a device");
}

// A device that comes later is seen later: when it is there, the rest has been looked at. It is
// gone again afterwards, for the backend too.
void LiveBackend::settle() {
  const DevicePath last = path(2, 100'000 + static_cast<uint32_t>(settled_++));
  attach(last, "mem:1M");
  if (!wait_for_state(last, XenbusState::kInitWait))
    throw std::runtime_error("the backend does not see a new device");
  remove(last);
  const bool gone = wait_for_report([&](const std::vector<DeviceReport>& devices) {
    return std::ranges::none_of(devices,
                                [&](const DeviceReport& device) { return device.path == last; });
  });
  if (!gone) throw std::runtime_error("the backend keeps a device that was removed");
}

DomainCounts LiveBackend::held() { return must(control_.counts(DomId{0})); }

bool LiveBackend::wait_until_held(const DomainCounts& counts) {
  const auto end = steady_clock::now() + kPatience;
  while (held() != counts) {
    if (steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

ScriptedDisk& LiveBackend::scripted(const std::string& name) {
  const std::lock_guard lock(openings_->mutex);
  return *openings_->disks.at(name);
}

}  // namespace splitring::backend
