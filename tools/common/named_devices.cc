#include "tools/common/named_devices.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "blkimage/packed_image.h"
#include "tools/common/program.h"

namespace splitring::tools {
namespace {

constexpr int kRetryPauseMs = 500;

void signal_fd(int fd) {
  const uint64_t one = 1;
  // An eventfd takes it: its count is far from full.
  [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof(one));
}

}  // namespace

NamedDevices::NamedDevices(HostOptions host, Handlers handlers, unsigned other_virtual_disks)
    : host_(std::move(host)),
      other_virtual_disks_(other_virtual_disks),
      disks_(host_),
      handlers_(std::move(handlers)) {}

unsigned NamedDevices::virtual_disks() const {
  const std::lock_guard lock(mutex_);
  const auto ours = std::ranges::count_if(
      devices_, [](const Device& device) { return device.uri.scheme == "vbd"; });
  return static_cast<unsigned>(ours) + other_virtual_disks_ + 1;
}

Result<std::unique_ptr<NamedDevices>> NamedDevices::start(std::vector<NamedDisk> disks,
                                                          const HostOptions& host,
                                                          Handlers handlers,
                                                          unsigned other_virtual_disks) {
  std::unique_ptr<NamedDevices> named(
      new NamedDevices(host, std::move(handlers), other_virtual_disks));
  named->stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  named->reload_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!named->stop_ || !named->reload_) return fail_errno("eventfd", errno);
  for (NamedDisk& disk : disks) TRY_VOID(named->add(std::move(disk)));
  named->disks_.share_grants(named->virtual_disks());
  named->look_at_all();
  named->thread_ = std::thread([devices = named.get()] { devices->run(); });
  return named;
}

Result<> NamedDevices::add(NamedDisk disk) {
  Device device;
  device.uri = TRY(disk_below_packing(disk.uri));
  device.config = std::move(disk);
  if (device.uri.scheme == "raw") {
    if (!files_) files_ = TRY(DeviceWatch::of_files());
    device.watch = files_.get();
  } else if (device.uri.scheme == "vbd") {
    if (!store_) {
      auto watch = DeviceWatch::of_store(host_);
      if (!watch) return fail_within(device.config.place, std::move(watch).error());
      store_ = std::move(*watch);
    }
    device.watch = store_.get();
  }
  const std::lock_guard lock(mutex_);
  devices_.push_back(std::move(device));
  return {};
}

void NamedDevices::reload(std::vector<NamedDisk> disks) {
  const std::lock_guard lock(mutex_);
  new_disks_ = std::move(disks);
  signal_fd(reload_.get());
}

void NamedDevices::take_reload() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(reload_.get(), &count, sizeof(count));
  std::optional<std::vector<NamedDisk>> disks;
  {
    const std::lock_guard lock(mutex_);
    disks.swap(new_disks_);
  }
  if (!disks) return;
  const auto is_kept = [&](const Device& device) {
    return std::ranges::any_of(*disks, [&](const NamedDisk& d) {
      return d.name == device.config.name && d.uri == device.config.uri &&
             d.read_only == device.config.read_only;
    });
  };
  for (Device& device : devices_) {
    if (!is_kept(device)) {
      unplug(device);
    } else if (device.disk && device.watch != nullptr) {
      const auto seen = device.watch->look(device.uri);
      if (seen && seen->version != device.version) unplug(device);  // plugged again by a look
    }
  }
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(devices_, [&](const Device& device) { return !is_kept(device); });
    for (const int waiter : waiters_) signal_fd(waiter);  // the name may have gone
  }
  for (NamedDisk& disk : *disks) {
    if (std::ranges::any_of(devices_, [&](const Device& d) { return d.config.name == disk.name; }))
      continue;
    if (const auto added = add(std::move(disk)); !added)
      spdlog::error("{}", printable(added.error().what));
  }
  disks_.share_grants(virtual_disks());
}

NamedDevices::~NamedDevices() {
  signal_fd(stop_.get());
  if (thread_.joinable()) thread_.join();
  for (Device& device : devices_) unplug(device);
}

void NamedDevices::run() {
  while (wait_for_change()) look_at_all();
}

// False: stop.
bool NamedDevices::wait_for_change() {
  std::array<pollfd, 4> fds{
      {{stop_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}, {reload_.get(), POLLIN, 0}}};
  if (files_) fds[1].fd = files_->fd();
  if (store_) fds[2].fd = store_->fd();
  const bool tries_again = std::ranges::any_of(devices_, &Device::is_tried_again);
  while (::poll(fds.data(), fds.size(), tries_again ? kRetryPauseMs : -1) < 0 && errno == EINTR) {
  }
  if (fds[0].revents != 0) return false;
  if (fds[3].revents != 0) take_reload();
  for (DeviceWatch* const watch : {files_.get(), store_.get()}) {
    if (watch == nullptr) continue;
    const auto cleared = watch->clear();
    if (cleared) continue;
    // What is plugged stays; nothing comes or goes any more.
    spdlog::error("devices are not watched any longer: {}", cleared.error().what);
    return false;
  }
  return true;
}

void NamedDevices::look_at_all() {
  for (Device& device : devices_) look_at(device);
}

void NamedDevices::look_at(Device& device) {
  Presence presence{Presence::State::kReady, device.config.uri, {}};
  if (device.watch != nullptr) {
    auto seen = device.watch->look(device.uri);
    if (!seen) return note(device, seen.error().what);
    presence = std::move(*seen);
  }
  if (device.disk) {
    // Another one may have been attached under the same name before anybody looked.
    const bool is_another = presence.identity != device.identity ||
                            (device.ring != nullptr && presence.version != device.version);
    if (presence.state != Presence::State::kGone && !is_another) return;
    unplug(device);
  }
  if (presence.state == Presence::State::kReady) plug(device, presence);
}

void NamedDevices::plug(Device& device, const Presence& presence) {
  auto opened = disks_.open(device.config.uri, device.config.read_only, device.config.lanes);
  // Held by someone who may let go without our hearing of it, an older disk of ours perhaps.
  device.is_tried_again =
      !opened && (opened.error().code == Errc::kBusy || opened.error().code == Errc::kLimit);
  if (!opened) {
    note(device, opened.error().what);
    // What the attempt itself stirred up is no reason for another one.
    if (device.watch != nullptr) (void)device.watch->clear();
    return;
  }
  const auto* const packed = dynamic_cast<const PackedImage*>(opened->get());
  const auto* const ring =
      dynamic_cast<const frontend::Disk*>(packed == nullptr ? opened->get() : packed->below());
  const auto disk = std::make_shared<StatsDevice>(std::move(*opened));
  spdlog::info("{}: plugged {}", device.config.name, printable(disk->name()));
  {
    const std::lock_guard lock(mutex_);
    device.identity = presence.identity;
    device.version = ring == nullptr ? presence.version : ring->connection();
    device.disk = disk;
    device.ring = ring;
    device.was_plugged = true;
    device.error.clear();
    for (const int waiter : waiters_) signal_fd(waiter);
  }
  if (handlers_.plugged) handlers_.plugged(device.config.name, disk);
}

void NamedDevices::unplug(Device& device) {
  if (!device.disk) return;
  spdlog::info("{}: unplugged", device.config.name);
  // The last one to let go closes it, which may take a while: not under the lock.
  std::shared_ptr<StatsDevice> disk;
  {
    const std::lock_guard lock(mutex_);
    disk.swap(device.disk);
    device.ring = nullptr;
  }
  if (handlers_.unplugged) handlers_.unplugged(device.config.name);
}

// Said once, not at every look.
void NamedDevices::note(Device& device, const std::string& error) {
  const std::lock_guard lock(mutex_);
  if (device.error == error) return;
  device.error = error;
  spdlog::warn("{}: {}: {}", device.config.place, device.config.name, printable(error));
}

Result<std::shared_ptr<BlockDevice>> NamedDevices::wait_for(const std::string& name, int stop_fd) {
  const UniqueFd waiter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waiter) return fail_errno("eventfd", errno);
  std::unique_lock lock(mutex_);
  waiters_.push_back(waiter.get());
  const auto find = [&] {
    return std::ranges::find_if(devices_, [&](const Device& d) { return d.config.name == name; });
  };
  auto found = find();
  bool stopped = false;
  while (found != devices_.end() && !found->disk && !stopped) {
    lock.unlock();
    std::array<pollfd, 2> fds{{{stop_fd, POLLIN, 0}, {waiter.get(), POLLIN, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
    stopped = fds[0].revents != 0;
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(waiter.get(), &count, sizeof(count));
    lock.lock();
    found = find();
  }
  std::erase(waiters_, waiter.get());
  if (found == devices_.end())
    return fail(Errc::kNotFound, "no device is called " + name + ": name one in [devices]");
  if (!found->disk) return fail(Errc::kClosed, "stopped while waiting for " + name);
  return found->disk;
}

std::vector<NamedDevices::Status> NamedDevices::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<Status> all;
  for (const Device& device : devices_) {
    Status& status = all.emplace_back();
    status.name = device.config.name;
    status.uri = device.config.uri;
    status.error = device.error;
    if (!device.disk) {
      status.state = device.was_plugged ? State::kGone : State::kWaiting;
      continue;
    }
    status.state = State::kPlugged;
    status.capacity = device.disk->geometry().capacity;
    status.read_only = device.disk->geometry().read_only;
    status.stats = device.disk->stats();
    if (device.ring == nullptr) continue;
    status.ring = device.ring->statistics();
    status.backend_directory = device.identity;
  }
  return all;
}

}  // namespace splitring::tools
