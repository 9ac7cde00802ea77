#include "xenbus/xen_store.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

extern "C" {
#include <xenstore.h>
}

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "xenbus/store_event_queue.h"

namespace splitring {

namespace {

// libxenstore reads ahead as fast as somebody else writes; so much is taken over at a time.
constexpr int kEventsTakenPerCall = 4096;
constexpr std::chrono::microseconds kFirstBackOff{50};
constexpr std::chrono::microseconds kLongestBackOff{10'000};

struct CloseStore {
  void operator()(xs_handle* handle) const { xs_close(handle); }
};
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using Handle = std::unique_ptr<xs_handle, CloseStore>;
template <class T>
using Allocated = std::unique_ptr<T, FreeMemory>;

unsigned to_bits(StorePermission::Rights rights) {
  switch (rights) {
    case StorePermission::Rights::kNone: return XS_PERM_NONE;
    case StorePermission::Rights::kRead: return XS_PERM_READ;
    case StorePermission::Rights::kWrite: return XS_PERM_WRITE;
    case StorePermission::Rights::kBoth: return XS_PERM_READ | XS_PERM_WRITE;
  }
  return XS_PERM_NONE;
}

StorePermission::Rights from_bits(unsigned bits) {
  const bool reads = (bits & XS_PERM_READ) != 0;
  const bool writes = (bits & XS_PERM_WRITE) != 0;
  if (reads) return writes ? StorePermission::Rights::kBoth : StorePermission::Rights::kRead;
  return writes ? StorePermission::Rights::kWrite : StorePermission::Rights::kNone;
}

// The connection, shared by the store and its views.
class Connection {
 public:
  // `lifeline`: a second connection to the same server that carries nothing. libxenstore keeps its
  // own descriptor to itself, and its reading thread ends silently when the server goes away; this
  // one shows it.
  Connection(Handle handle, UniqueFd lifeline, UniqueFd ready)
      : handle_(std::move(handle)), lifeline_(std::move(lifeline)), ready_(std::move(ready)) {}

  xs_handle* get() const { return handle_.get(); }
  int lifeline() const { return lifeline_.get(); }
  int ready() const { return ready_.get(); }

  // True once the server has gone; never false again then.
  bool lost() {
    if (lost_) return true;
    pollfd look{lifeline_.get(), POLLIN, 0};
    if (lifeline_ && poll(&look, 1, 0) > 0) lost_ = true;
    return lost_;
  }

  // The error for a call that failed with `error_number` in libxenstore.
  Error error(const std::string& what, int error_number) {
    switch (error_number) {
      case EBADF:  // libxenstore: closed, by the server or after a failure
      case EPIPE:
      case ECONNRESET:
      case ECONNREFUSED:
      case ENOTCONN: lost_ = true; break;
      // Also what every call gives after libxenstore's reading thread has ended.
      case EINVAL: take_events(); break;
      default: break;
    }
    if (lost()) return {Errc::kClosed, what + ": the store server has gone"};
    if (error_number == ENOSPC || error_number == E2BIG)
      return {Errc::kLimit, what + ": over a limit of the store: " + std::strerror(error_number)};
    return fail_errno(what, error_number).value();
  }

  std::optional<StoreEvent> next_event() {
    take_events();
    auto event = events_.take();
    show_ready();
    return event;
  }

  void forget_events(const std::string& path, const std::string& token) {
    events_.forget(token, path);
    show_ready();
  }

 private:
  // Takes over what libxenstore has read.
  void take_events() {
    for (int i = 0; i < kEventsTakenPerCall; i++) {
      const Allocated<char*> event(xs_check_watch(get()));
      if (!event) {
        // With nothing to read and the thread alive it is EAGAIN.
        if (errno != EAGAIN) lost_ = true;
        break;
      }
      events_.add(0, {}, {event.get()[XS_WATCH_PATH], event.get()[XS_WATCH_TOKEN]});
    }
    show_ready();
  }

  // libxenstore's descriptor is quiet once its list is empty; what waits here has to show too.
  void show_ready() {
    const bool waits = !events_.empty();
    if (waits == shown_ready_) return;
    shown_ready_ = waits;
    eventfd_t count = 1;
    if (waits) {
      (void)eventfd_write(ready_.get(), count);
    } else {
      (void)eventfd_read(ready_.get(), &count);
    }
  }

  Handle handle_;
  UniqueFd lifeline_;
  UniqueFd ready_;  // an eventfd, set while events wait here rather than in libxenstore
  bool shown_ready_ = false;
  StoreEventQueue events_;
  bool lost_ = false;
};

class View : public StoreView {
 public:
  View(Connection& connection, xs_transaction_t transaction)
      : connection_(connection), transaction_(transaction) {}

  Result<std::string> read(const std::string& path) override {
    unsigned length = 0;
    errno = 0;
    const Allocated<char> value(
        static_cast<char*>(xs_read(connection_.get(), transaction_, path.c_str(), &length)));
    if (!value) return failed("reading", path);
    return std::string(value.get(), length);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    unsigned count = 0;
    const Allocated<char*> names(
        xs_directory(connection_.get(), transaction_, path.c_str(), &count));
    if (!names) return failed("listing", path);
    return std::vector<std::string>(names.get(), names.get() + count);
  }

  Result<> write(const std::string& path, std::string_view value) override {
    if (value.size() > XENSTORE_PAYLOAD_MAX)
      return fail(Errc::kLimit, "writing " + path + " in the store: the value is too long");
    if (!xs_write(connection_.get(), transaction_, path.c_str(), value.data(),
                  static_cast<unsigned>(value.size())))
      return failed("writing", path);
    return {};
  }

  Result<> make_directory(const std::string& path) override {
    if (!xs_mkdir(connection_.get(), transaction_, path.c_str())) return failed("making", path);
    return {};
  }

  Result<> remove(const std::string& path) override {
    if (!xs_rm(connection_.get(), transaction_, path.c_str())) return failed("removing", path);
    return {};
  }

  Result<std::vector<StorePermission>> permissions(const std::string& path) override {
    unsigned count = 0;
    const Allocated<xs_permissions> entries(
        xs_get_permissions(connection_.get(), transaction_, path.c_str(), &count));
    if (!entries) return failed("reading the permissions of", path);
    std::vector<StorePermission> permissions;
    for (unsigned i = 0; i < count; i++) {
      const xs_permissions& entry = entries.get()[i];
      permissions.push_back({DomId{static_cast<uint16_t>(entry.id)}, from_bits(entry.perms)});
    }
    return permissions;
  }

  Result<> set_permissions(const std::string& path,
                           const std::vector<StorePermission>& permissions) override {
    std::vector<xs_permissions> entries;
    for (const StorePermission& each : permissions)
      entries.push_back({raw(each.domain), to_bits(each.rights)});
    if (!xs_set_permissions(connection_.get(), transaction_, path.c_str(), entries.data(),
                            static_cast<unsigned>(entries.size())))
      return failed("setting the permissions of", path);
    return {};
  }

 private:
  tl::unexpected<Error> failed(const char* doing, const std::string& path) {
    const int error_number = errno;
    return tl::unexpected<Error>(
        connection_.error(std::string(doing) + " " + path + " in the store", error_number));
  }

  Connection& connection_;
  xs_transaction_t transaction_;
};

class XenStore : public Store {
 public:
  XenStore(Handle handle, UniqueFd lifeline, UniqueFd ready, UniqueFd epoll)
      : connection_(std::move(handle), std::move(lifeline), std::move(ready)),
        epoll_(std::move(epoll)),
        now_(connection_, XBT_NULL) {}

  Result<> start_polling();

  StoreView& now() override { return now_; }
  Result<> transact(const std::function<Result<>(StoreView&)>& body) override;
  Result<> watch(const std::string& path, const std::string& token) override;
  Result<> unwatch(const std::string& path, const std::string& token) override;
  [[nodiscard]] int fd() const override { return epoll_.get(); }
  std::optional<StoreEvent> next_event() override;
  Result<std::string> domain_path(DomId domain) override;
  Result<bool> is_introduced(DomId domain) override;

 private:
  // True if committed, false after a conflict.
  Result<bool> attempt(const std::function<Result<>(StoreView&)>& body);
  tl::unexpected<Error> failed(const std::string& what, int error_number) {
    return tl::unexpected<Error>(connection_.error(what, error_number));
  }
  bool add_to_poll(int fd);
  void notice_loss();

  Connection connection_;
  UniqueFd epoll_;  // of libxenstore's descriptor, the connection's ready() and its lifeline
  bool noticed_loss_ = false;
  View now_;
};

bool XenStore::add_to_poll(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Result<> XenStore::start_polling() {
  if (!add_to_poll(xs_fileno(connection_.get())) || !add_to_poll(connection_.ready()) ||
      (connection_.lifeline() >= 0 && !add_to_poll(connection_.lifeline())))
    return fail_errno("opening the store", errno);
  return {};
}

Result<bool> XenStore::attempt(const std::function<Result<>(StoreView&)>& body) {
  const xs_transaction_t transaction = xs_transaction_start(connection_.get());
  if (transaction == XBT_NULL) return failed("starting a transaction of the store", errno);
  View view(connection_, transaction);
  if (auto result = body(view); !result) {
    // The body's error is the one to tell.
    (void)xs_transaction_end(connection_.get(), transaction, true);
    return tl::unexpected<Error>(std::move(result).error());
  }
  if (xs_transaction_end(connection_.get(), transaction, false)) return true;
  if (errno == EAGAIN) return false;
  return failed("committing a transaction of the store", errno);
}

Result<> XenStore::transact(const std::function<Result<>(StoreView&)>& body) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  auto back_off = kFirstBackOff;
  for (int i = 0; i < kTransactionAttemptsMax; i++) {
    if (TRY(attempt(body))) return {};
    // Random, so that two that collided do not collide again.
    std::this_thread::sleep_for(
        std::chrono::microseconds(1 + random() % static_cast<unsigned>(back_off.count())));
    back_off = std::min(back_off * 2, kLongestBackOff);
  }
  return fail(Errc::kConflict, "a transaction of the store lost against others " +
                                   std::to_string(kTransactionAttemptsMax) + " times");
}

Result<> XenStore::watch(const std::string& path, const std::string& token) {
  if (!xs_watch(connection_.get(), path.c_str(), token.c_str()))
    return failed("watching " + path + " in the store", errno);
  return {};
}

Result<> XenStore::unwatch(const std::string& path, const std::string& token) {
  if (!xs_unwatch(connection_.get(), path.c_str(), token.c_str()))
    return failed("ending the watch of " + path + " in the store", errno);
  connection_.forget_events(path, token);
  return {};
}

std::optional<StoreEvent> XenStore::next_event() {
  auto event = connection_.next_event();
  if (connection_.lost()) notice_loss();
  return event;
}

// A lost lifeline is readable for ever: it has said what it had to say.
void XenStore::notice_loss() {
  if (noticed_loss_ || connection_.lifeline() < 0) return;
  noticed_loss_ = true;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection_.lifeline(), nullptr);
}

Result<std::string> XenStore::domain_path(DomId domain) {
  const Allocated<char> path(xs_get_domain_path(connection_.get(), raw(domain)));
  if (!path) return failed("asking the store for a domain's path", errno);
  return std::string(path.get());
}

Result<bool> XenStore::is_introduced(DomId domain) {
  // libxenstore says false for an error too, and leaves errno alone after an answer.
  errno = 0;
  const bool introduced = xs_is_domain_introduced(connection_.get(), raw(domain));
  if (!introduced && errno != 0) return failed("asking the store for a domain", errno);
  return introduced;
}

// Sets XENSTORED_PATH for the life of the object. Only under a lock.
class SocketPathInEnvironment {
 public:
  explicit SocketPathInEnvironment(const std::filesystem::path& path) {
    if (const char* before = std::getenv(kName)) before_ = before;
    ::setenv(kName, path.c_str(), 1);
  }
  ~SocketPathInEnvironment() {
    if (before_) {
      ::setenv(kName, before_->c_str(), 1);
    } else {
      ::unsetenv(kName);
    }
  }
  SocketPathInEnvironment(const SocketPathInEnvironment&) = delete;
  SocketPathInEnvironment& operator=(const SocketPathInEnvironment&) = delete;

 private:
  static constexpr const char* kName = "XENSTORED_PATH";
  std::optional<std::string> before_;
};

Result<Handle> connect_handle(const std::optional<std::filesystem::path>& socket_path) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  std::optional<SocketPathInEnvironment> environment;
  if (socket_path) environment.emplace(*socket_path);
  errno = 0;
  Handle handle(xs_open(XS_UNWATCH_FILTER));
  const int error_number = errno;
  if (!handle)
    return fail_errno("opening the store" + (socket_path ? " at " + socket_path->native() : ""),
                      error_number);
  return handle;
}

Result<UniqueFd> connect_lifeline(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    return fail(Errc::kInvalid, "socket path is too long: " + path.native());
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket ||
      connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("opening the store at " + path.native(), errno);
  return socket;
}

void ignore_sigpipe() {
  struct sigaction action {};
  if (sigaction(SIGPIPE, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  (void)sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

Result<std::unique_ptr<Store>> open_xen_store(
    const std::optional<std::filesystem::path>& socket_path) {
  static std::once_flag once;
  std::call_once(once, ignore_sigpipe);
  Handle handle = TRY(connect_handle(socket_path));
  UniqueFd lifeline;
  if (socket_path) lifeline = TRY(connect_lifeline(*socket_path));
  UniqueFd ready(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!ready || !epoll) return fail_errno("opening the store", errno);
  auto store = std::make_unique<XenStore>(std::move(handle), std::move(lifeline), std::move(ready),
                                          std::move(epoll));
  TRY_VOID(store->start_polling());
  return store;
}

}  // namespace splitring
