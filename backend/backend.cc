#include "backend/backend.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "backend/device.h"
#include "backend/handover.h"
#include "backend/journal_folder.h"
#include "base/parse.h"
#include "base/unique_fd.h"

namespace splitring::backend {
namespace {

constexpr char kBackendToken[] = "backend";
constexpr char kReleaseToken[] = "release";
constexpr size_t kMaxDevices = 4096;
constexpr int kMaxEventsPerCall = 256;
constexpr time_t kCapacityCheckSeconds = 1;
constexpr long kSoonNanoseconds = 10'000'000;  // of StepShare

struct DeviceKey {
  size_t kind;  // an index of BackendOptions::kinds
  uint16_t domain;
  uint32_t device;
  auto operator<=>(const DeviceKey&) const = default;
};

// Of "F" or "F/D/...": what comes first, digits only.
std::optional<uint64_t> first_number(std::string_view& text, uint64_t max) {
  const size_t slash = text.find('/');
  const auto number = parse_decimal(text.substr(0, slash), max);
  text = slash == text.npos ? "" : text.substr(slash + 1);
  return number;
}

// Of "F/D" or "F/D/...".
std::optional<DeviceKey> key_from(size_t kind, std::string_view text) {
  const auto domain = first_number(text, kFirstReservedDomId - 1);
  const auto device = domain ? first_number(text, UINT32_MAX) : std::nullopt;
  if (!device) return std::nullopt;
  return DeviceKey{kind, static_cast<uint16_t>(*domain), static_cast<uint32_t>(*device)};
}

// "K/F/D", and back.
std::string token_of(const DeviceKey& key) {
  return std::to_string(key.kind) + "/" + std::to_string(key.domain) + "/" +
         std::to_string(key.device);
}

std::optional<DeviceKey> key_from_token(std::string_view token) {
  const auto kind = first_number(token, UINT16_MAX);
  return kind ? key_from(*kind, token) : std::nullopt;
}

class StoreBackend final : public Backend {
 public:
  StoreBackend(Host& host, const DiskSchemes& schemes, const BackendOptions& options)
      : host_(host), schemes_(schemes), options_(options), budget_(options.max_mapped_pages) {}

  ~StoreBackend() override {
    const std::lock_guard lock(mutex_);
    for (auto& [key, device] : devices_) device->stop();
    const auto deadline = std::chrono::steady_clock::now() + options_.drain_timeout;
    const auto busy = [&] {
      return std::any_of(devices_.begin(), devices_.end(),
                         [](auto& d) { return !d.second->idle(); });
    };
    while (busy() && std::chrono::steady_clock::now() < deadline) {
      pollfd entry{changed_.get(), POLLIN, 0};
      ::poll(&entry, 1, 100);
      acknowledge(changed_);
    }
    for (auto& [key, device] : devices_) device->leave_to_successor(*store_);
    for (auto& [key, device] : devices_) device->abandon();
  }

  Result<> initialise() {
    std::random_device random;
    options_.offer.instance = std::to_string(uint64_t{random()} << 32 | random());
    store_ = TRY(host_.open_store());
    if (!options_.journal_directory.empty())
      TRY_VOID(set_up_journals(options_.journal_directory, store_->now(), host_.domain()));
    for (const std::string& kind : options_.kinds)
      roots_.push_back("/local/domain/" + std::to_string(raw(host_.domain())) + "/backend/" + kind);
    changed_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!changed_ || !timer_ || !epoll_) return fail_errno("setting up the backend", errno);
    set_timer({kCapacityCheckSeconds, 0});
    for (const int watched : {store_->fd(), changed_.get(), timer_.get()}) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = watched;
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, watched, &event) != 0)
        return fail_errno("setting up the backend", errno);
    }
    context_ = {&host_, &schemes_, &options_, &budget_, changed_.get()};
    for (const std::string& root : roots_) TRY_VOID(store_->watch(root, kBackendToken));
    TRY_VOID(store_->watch("@releaseDomain", kReleaseToken));
    return {};
  }

  [[nodiscard]] int fd() const override { return epoll_.get(); }

  void process() override {
    const std::lock_guard lock(mutex_);
    std::set<DeviceKey> dirty;
    const auto now = std::chrono::steady_clock::now();
    if (acknowledge(timer_)) note_time(now, dirty);
    if (acknowledge(changed_)) all_devices(dirty);
    for (int i = 0; i < kMaxEventsPerCall; i++) {
      const auto event = store_->next_event();
      if (!event) break;
      note(*event, now, dirty);
    }
    for (const DeviceKey& key : dirty) step(key);
    for (const auto& [key, device] : devices_)
      if (device->image_busy()) soon_.insert(key);
    if (!soon_.empty() && !soon_is_set_) {
      soon_is_set_ = true;
      set_timer({0, kSoonNanoseconds});
    }
  }

  [[nodiscard]] std::vector<DeviceReport> report() const override {
    const std::lock_guard lock(mutex_);
    std::vector<DeviceReport> reports;
    reports.reserve(devices_.size());
    for (const auto& [key, device] : devices_) reports.push_back(device->report());
    return reports;
  }

 private:
  static bool acknowledge(const UniqueFd& counter) {
    uint64_t count = 0;
    return ::read(counter.get(), &count, sizeof count) == sizeof count;
  }

  // When process() is to look again; then once a second.
  void set_timer(timespec first) const {
    const itimerspec period{{kCapacityCheckSeconds, 0}, first};
    ::timerfd_settime(timer_.get(), 0, &period, nullptr);
  }

  void all_devices(std::set<DeviceKey>& dirty) const {
    for (const auto& [key, device] : devices_) dirty.insert(key);
  }

  // All devices once a second; those of soon_ when their time has come.
  void note_time(std::chrono::steady_clock::time_point now, std::set<DeviceKey>& dirty) {
    if (!std::exchange(soon_is_set_, false) || now >= next_look_at_all_) {
      next_look_at_all_ = now + std::chrono::seconds(kCapacityCheckSeconds);
      all_devices(dirty);
      soon_.clear();
    }
    for (const DeviceKey& key : std::exchange(soon_, {})) note_guest(key, now, dirty);
  }

  void note_guest(const DeviceKey& key, std::chrono::steady_clock::time_point now,
                  std::set<DeviceKey>& dirty) {
    const auto found = devices_.find(key);
    if (found == devices_.end()) return;
    (found->second->may_step(now) ? dirty : soon_).insert(key);
  }

  void note(const StoreEvent& event, std::chrono::steady_clock::time_point now,
            std::set<DeviceKey>& dirty) {
    if (event.token == kReleaseToken) {
      for (auto& [key, device] : devices_) {
        const auto alive = store_->is_introduced(DomId{key.domain});
        if (alive && !*alive) device->domain_died();
      }
      all_devices(dirty);
    } else if (event.token == kBackendToken) {
      for (size_t kind = 0; kind < roots_.size(); kind++) note_path(kind, event.path, dirty);
    } else if (const auto key = key_from_token(event.token)) {
      note_guest(*key, now, dirty);
    }
  }

  void note_path(size_t kind, std::string_view path, std::set<DeviceKey>& dirty) {
    const std::string& root = roots_[kind];
    if (root.starts_with(path)) return scan(kind, dirty);  // of the root, or above it
    if (!path.starts_with(root + "/")) return;
    std::string_view rest = path.substr(root.size() + 1);
    if (const auto key = key_from(kind, rest)) {
      dirty.insert(*key);
    } else if (const auto domain = first_number(rest, kFirstReservedDomId - 1)) {
      // A whole domain's directory came or went.
      scan_domain(kind, static_cast<uint16_t>(*domain), dirty);
      for (const auto& [known, device] : devices_)
        if (known.kind == kind && known.domain == *domain) dirty.insert(known);
    }
  }

  void scan(size_t kind, std::set<DeviceKey>& dirty) {
    all_devices(dirty);
    const auto domains = store_->now().list(roots_[kind]);
    if (!domains) return;
    for (const std::string& name : *domains)
      if (const auto domain = parse_decimal(name, kFirstReservedDomId - 1))
        scan_domain(kind, static_cast<uint16_t>(*domain), dirty);
  }

  void scan_domain(size_t kind, uint16_t domain, std::set<DeviceKey>& dirty) {
    const auto names = store_->now().list(roots_[kind] + "/" + std::to_string(domain));
    if (!names) return;
    for (const std::string& name : *names)
      if (const auto number = parse_decimal(name, UINT32_MAX))
        dirty.insert({kind, domain, static_cast<uint32_t>(*number)});
  }

  void step(const DeviceKey& key) {
    auto found = devices_.find(key);
    if (found == devices_.end()) {
      found = add(key);
      if (found == devices_.end()) return;
    }
    const auto stepped = found->second->step(*store_);
    if (!stepped) found->second->step_failed(stepped.error());
    if (!found->second->finished()) return;
    const std::string frontend = found->second->path().frontend_directory();
    static_cast<void>(store_->unwatch(frontend + "/state", token_of(key)));
    devices_.erase(found);
  }

  [[nodiscard]] std::string name_of(const DeviceKey& key) const {
    return options_.kinds[key.kind] + " " + std::to_string(key.domain) + "/" +
           virtual_device_name(key.device);
  }

  std::map<DeviceKey, std::unique_ptr<Device>>::iterator add(const DeviceKey& key) {
    if (devices_.size() >= kMaxDevices) {
      spdlog::error("{} devices are all that one backend serves", kMaxDevices);
      return devices_.end();
    }
    const DevicePath path{options_.kinds[key.kind], host_.domain(), DomId{key.domain}, key.device};
    // Only what has a directory becomes a device, and only if it is meant for us.
    const auto state = read_state(store_->now(), path.backend_directory());
    if (!state || *state == XenbusState::kUnknown) return devices_.end();
    const auto ours = is_meant_for_us(store_->now(), path.backend_directory());
    if (!ours || !*ours) return devices_.end();
    const auto watched = store_->watch(path.frontend_directory() + "/state", token_of(key));
    if (!watched) {
      spdlog::error("{}: {}", name_of(key), watched.error().what);
      return devices_.end();
    }
    const auto added = devices_.emplace(key, std::make_unique<Device>(path, context_)).first;
    // One that died while no backend ran.
    const auto alive = store_->is_introduced(path.frontend);
    if (alive && !*alive) added->second->domain_died();
    return added;
  }

  Host& host_;
  const DiskSchemes& schemes_;
  BackendOptions options_;
  PageBudget budget_;
  UniqueFd changed_;
  UniqueFd timer_;
  UniqueFd epoll_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> roots_;  // of options_.kinds
  std::set<DeviceKey> soon_;        // to be looked at before the next look at all
  bool soon_is_set_ = false;        // the timer is set for them
  std::chrono::steady_clock::time_point next_look_at_all_{};
  DeviceContext context_;
  mutable std::mutex mutex_;  // of devices_, between the control thread and report()
  std::map<DeviceKey, std::unique_ptr<Device>> devices_;
};

}  // namespace

Result<std::unique_ptr<Backend>> Backend::start(Host& host, const DiskSchemes& schemes,
                                                const BackendOptions& options) {
  if (options.offer.max_indirect_segments > kMaxIndirectSegmentsOffered)
    return fail(Errc::kInvalid, "at most " + std::to_string(kMaxIndirectSegmentsOffered) +
                                    " indirect segments can be offered");
  if (options.offer.max_ring_page_order > kMaxRingPageOrder || options.offer.max_queues < 1 ||
      options.offer.max_queues > kMaxQueues)
    return fail(Errc::kInvalid, "a ring has at most 16 pages, and a device 1 to 64 queues");
  auto backend = std::make_unique<StoreBackend>(host, schemes, options);
  TRY_VOID(backend->initialise());
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace splitring::backend
