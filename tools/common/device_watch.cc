#include "tools/common/device_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

#include "base/unique_fd.h"
#include "frontend/handshake.h"
#include "tools/common/reach_host.h"
#include "xenbus/device_path.h"
#include "xenbus/nodes.h"

namespace splitring::tools {
namespace {

class FileWatch final : public DeviceWatch {
 public:
  explicit FileWatch(UniqueFd fd) : fd_(std::move(fd)) {}
  [[nodiscard]] int fd() const override { return fd_.get(); }

  Result<> clear() override {
    std::array<char, 4096> events;
    for (;;) {
      const ssize_t got = ::read(fd_.get(), events.data(), events.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno != EAGAIN) return fail_errno("watching files", errno);
      if (got <= 0) return {};
    }
  }

  Result<Presence> look(const DiskUri& uri) override {
    TRY_VOID(watch_above(uri.target));
    struct stat status {};
    if (::stat(uri.target.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return Presence{};
      return fail_errno(uri.target, errno);
    }
    const bool is_coming = S_ISREG(status.st_mode) && status.st_size == 0;
    return Presence{is_coming ? Presence::State::kComing : Presence::State::kReady,
                    std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino),
                    std::to_string(status.st_size) + ":" + std::to_string(status.st_ctim.tv_sec) +
                        "." + std::to_string(status.st_ctim.tv_nsec)};
  }

 private:
  // Of a directory that is watched already this changes nothing.
  Result<> watch_above(const std::filesystem::path& file) {
    constexpr uint32_t kEvents = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM |
                                 IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    for (std::filesystem::path above = file.parent_path();; above = above.parent_path()) {
      // Of a name alone that is the directory that we are in.
      const char* const directory = above.empty() ? "." : above.c_str();
      if (::inotify_add_watch(fd_.get(), directory, kEvents) >= 0) return {};
      if ((errno != ENOENT && errno != ENOTDIR) || above == above.parent_path())
        return fail_errno("watching " + above.string(), errno);
    }
  }

  UniqueFd fd_;
};

class StoreWatch final : public DeviceWatch {
 public:
  StoreWatch(std::unique_ptr<Host> host, std::unique_ptr<Store> store)
      : host_(std::move(host)), store_(std::move(store)) {}
  [[nodiscard]] int fd() const override { return store_->fd(); }

  Result<> clear() override {
    while (store_->next_event()) {
    }
    // A server that has gone leaves the descriptor readable for good; asking it says so.
    TRY_VOID(store_->domain_path(host_->domain()));
    return {};
  }

  Result<Presence> look(const DiskUri& uri) override {
    const uint32_t number = TRY(virtual_device_number(uri.target));
    const std::string directory =
        DevicePath{.frontend = host_->domain(), .device = number}.frontend_directory();
    TRY_VOID(watch(directory));
    const auto backend = TRY(read_optional(store_->now(), directory + "/backend"));
    if (!backend || backend->empty()) return Presence{};
    TRY_VOID(watch(*backend));
    const auto online = TRY(read_optional(store_->now(), *backend + "/online"));
    if (!online || *online == "0") return Presence{};
    const XenbusState state = TRY(read_state(store_->now(), *backend));
    // Closed: an earlier frontend has, the kernel's perhaps; the backend waits for another one.
    const bool is_ready = state == XenbusState::kInitWait || state == XenbusState::kInitialised ||
                          state == XenbusState::kConnected || state == XenbusState::kClosed;
    const auto connection =
        TRY(read_optional(store_->now(), directory + "/" + frontend::kConnectionNode));
    return Presence{is_ready ? Presence::State::kReady : Presence::State::kComing, *backend,
                    connection.value_or("")};
  }

 private:
  Result<> watch(const std::string& path) {
    if (!watched_.insert(path).second) return {};
    const auto done = store_->watch(path, path);
    if (!done) watched_.erase(path);
    return done;
  }

  std::unique_ptr<Host> host_;
  std::unique_ptr<Store> store_;
  std::set<std::string> watched_;
};

}  // namespace

Result<std::unique_ptr<DeviceWatch>> DeviceWatch::of_files() {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) return fail_errno("watching files", errno);
  return std::make_unique<FileWatch>(std::move(fd));
}

Result<std::unique_ptr<DeviceWatch>> DeviceWatch::of_store(const HostOptions& options) {
  auto host = TRY(reach_host(options));
  auto store = TRY(host->open_store());
  return std::make_unique<StoreWatch>(std::move(host), std::move(store));
}

}  // namespace splitring::tools
