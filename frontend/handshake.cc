#include "frontend/handshake.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <random>

#include "base/parse.h"

namespace splitring::frontend {
namespace {

using std::chrono::milliseconds;

// For a backend that stays in InitWait although our state is one of a connection that is over: some
// do not react there. Long enough for those that do.
constexpr milliseconds kGraceInInitWait{500};
constexpr size_t kMaxQuotedBytes = 200;

int milliseconds_until(Handshake::Deadline deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - Handshake::Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000));
}

std::string named(XenbusState state) {
  return std::string(to_string(state)) + " (" + to_node(state) + ")";
}

}  // namespace

Result<Handshake> Handshake::open(Host& host, uint32_t device, ControlSignal& signal) {
  DevicePath path;
  path.frontend = host.domain();
  path.device = device;
  Handshake handshake(std::move(path), signal);
  std::random_device entropy;
  handshake.mark_ = std::to_string(uint64_t{entropy()} << 32 | entropy());
  handshake.store_ = TRY(host.open_store());
  TRY_VOID(handshake.find_backend());
  TRY_VOID(handshake.watch_backend());
  return handshake;
}

Result<> Handshake::find_backend() {
  StoreView& store = store_->now();
  const auto backend = TRY(read_optional(store, directory_ + "/backend"));
  const auto id = TRY(read_number(store, directory_ + "/backend-id", kFirstReservedDomId - 1));
  const std::string name = virtual_device_name(device_.device);
  const std::string domain = std::to_string(raw(device_.frontend));
  if (!backend || !id)
    return fail(Errc::kNotFound, "no disk " + name + " in domain " + domain + " (" + directory_ +
                                     " names no backend): attach one with `splitring attach "
                                     "--domain " +
                                     domain + " --vdev " + name + " --target DISK`");
  if (!backend->starts_with("/local/domain/" + std::to_string(*id) + "/backend/"))
    return fail(Errc::kInvalid, directory_ + "/backend is \"" +
                                    backend->substr(0, kMaxQuotedBytes) +
                                    "\", which is not of domain " + std::to_string(*id));
  device_.backend = DomId{static_cast<uint16_t>(*id)};
  backend_directory_ = *backend;
  trusted_ = TRY(read_number(store, directory_ + "/trusted", 1)).value_or(1) == 1;
  return {};
}

Result<> Handshake::watch_backend() {
  for (const char* node : {"/state", "/sectors", "/online"})
    TRY_VOID(store_->watch(backend_directory_ + node, node));
  return {};
}

Result<> Handshake::reopen(Host& host) {
  store_ = TRY(host.open_store());
  return watch_backend();
}

Result<> Handshake::wait(Deadline deadline) {
  if (signal_->stop.load(std::memory_order_acquire)) return fail(Errc::kClosed, "interrupted");
  std::array<pollfd, 2> entries{pollfd{store_->fd(), POLLIN, 0},
                                pollfd{signal_->wake.fd(), POLLIN, 0}};
  const int ready = ::poll(entries.data(), entries.size(), milliseconds_until(deadline));
  if (ready == 0) return fail(Errc::kTimeout, "not in time");
  if (entries[1].revents != 0) signal_->wake.clear();
  if (signal_->stop.load(std::memory_order_acquire)) return fail(Errc::kClosed, "interrupted");
  if (entries[1].revents != 0 && signal_->on_wake) signal_->on_wake();
  // What changed is read afresh anyway; a peer that writes without end gets no more than this.
  constexpr int kEventsPerWait = 64;
  bool any = false;
  for (int i = 0; i < kEventsPerWait && store_->next_event(); i++) any = true;
  if (!any && (entries[0].revents & (POLLHUP | POLLERR)) != 0)
    return fail(Errc::kIo, "the store has gone");
  return {};
}

// Of what is no longer there a guest is told that it may not look: the nearest node that is left
// decides, and that is the backend domain's.
Result<XenbusState> Handshake::backend_state() {
  auto state = read_state(store_->now(), backend_directory_);
  if (!state && state.error().code == Errc::kPermission) return XenbusState::kUnknown;
  return state;
}

Result<std::string> Handshake::backend_instance() {
  return TRY(read_offer(store_->now(), backend_directory_)).instance;
}

Result<bool> Handshake::online() {
  const auto online = read_optional(store_->now(), backend_directory_ + "/online");
  if (!online && online.error().code == Errc::kPermission) return false;
  return TRY(online).value_or("0") == "1";
}

// kClosed: our directory is not the one that we marked.
Result<> Handshake::check_same_disk(StoreView& store) const {
  if (!is_marked_) return {};
  const auto mark = read_optional(store, directory_ + "/" + kConnectionNode);
  if (!mark && mark.error().code != Errc::kPermission) return tl::unexpected<Error>(mark.error());
  if (mark && *mark == mark_) return {};
  return fail(Errc::kClosed, "the disk has been taken away");
}

Result<> Handshake::set_state(XenbusState state) {
  return store_->transact([&](StoreView& store) -> Result<> {
    TRY_VOID(check_same_disk(store));
    return write_state(store, directory_, state);
  });
}

// Writes our state if it is another one: every write wakes the backend.
Result<> Handshake::move_to(XenbusState state) {
  if (TRY(read_state(store_->now(), directory_)) == state) return {};
  return set_state(state);
}

void Handshake::report(const std::string& message) {
  (void)store_->now().write(directory_ + "/error", message);
}

Error Handshake::describe_wait(const std::string& wish, const Error& why) {
  std::string text = "waiting for " + wish + ": ";
  const auto state = backend_state();
  text += backend_directory_ + "/state is " +
          (state ? named(*state) : "not readable: " + state.error().what);
  if (why.code != Errc::kTimeout) text += "; " + why.what;
  for (const char* node : {"hotplug-error", "error"}) {
    const auto said = read_optional(store_->now(), backend_directory_ + "/" + node);
    if (said && *said)
      text += "; its " + std::string(node) + " says: " + (*said)->substr(0, kMaxQuotedBytes);
  }
  if (why.code == Errc::kTimeout)
    text += "; is a backend (splitringd) running in domain " +
            std::to_string(raw(device_.backend)) + "?";
  return {why.code, std::move(text)};
}

// One look at both states and at most one move of ours. True: the backend is in InitWait and waits
// for us. `grace` runs while it stays in InitWait although our state says more.
Result<bool> Handshake::step_towards_ready(Deadline& grace) {
  TRY_VOID(check_same_disk(store_->now()));
  const XenbusState ours = TRY(read_state(store_->now(), directory_));
  switch (TRY(backend_state())) {
    case XenbusState::kInitWait: {
      const bool fresh = ours == XenbusState::kInitialising || ours == XenbusState::kUnknown ||
                         ours == XenbusState::kClosed;
      if (!fresh && !grace) {
        grace = Clock::now() + kGraceInInitWait;
        TRY_VOID(move_to(XenbusState::kClosing));
      }
      if (!fresh && Clock::now() < *grace) return false;
      TRY_VOID(move_to(XenbusState::kInitialising));
      return true;
    }
    case XenbusState::kInitialised:
    case XenbusState::kConnected:
    case XenbusState::kReconfiguring:
    case XenbusState::kReconfigured:
      grace.reset();
      if (ours != XenbusState::kClosed) TRY_VOID(move_to(XenbusState::kClosing));
      return false;
    case XenbusState::kClosing:
      grace.reset();
      TRY_VOID(move_to(XenbusState::kClosed));
      return false;
    case XenbusState::kClosed:
      grace.reset();
      if (!TRY(online())) return fail(Errc::kClosed, "the disk is being taken away");
      TRY_VOID(move_to(XenbusState::kInitialising));
      return false;
    case XenbusState::kInitialising:
    case XenbusState::kUnknown:
      grace.reset();
      if (!TRY(online())) return fail(Errc::kClosed, "the disk has been taken away");
      TRY_VOID(move_to(XenbusState::kInitialising));
      return false;
  }
  return false;
}

Result<BackendOffer> Handshake::prepare(Deadline deadline) {
  const std::string wish = "the backend to be ready (InitWait)";
  Deadline grace;
  while (true) {
    const auto ready = step_towards_ready(grace);
    if (!ready) return tl::unexpected(describe_wait(wish, ready.error()));
    if (*ready) return read_offer(store_->now(), backend_directory_);
    const bool grace_first = grace && (!deadline || *grace < *deadline);
    const auto woken = wait(grace_first ? grace : deadline);
    if (!woken && !(grace_first && woken.error().code == Errc::kTimeout))
      return tl::unexpected(describe_wait(wish, woken.error()));
  }
}

Result<DiskNodes> Handshake::connect(const FrontendNodes& nodes, Deadline deadline) {
  const std::string wish = "the backend to connect (Connected)";
  TRY_VOID(store_->transact([&](StoreView& store) -> Result<> {
    TRY_VOID(check_same_disk(store));
    TRY_VOID(write_frontend(store, directory_, nodes));
    TRY_VOID(store.write(directory_ + "/" + kConnectionNode, mark_));
    return write_state(store, directory_, XenbusState::kInitialised);
  }));
  is_marked_ = true;
  while (true) {
    const XenbusState state = TRY(backend_state());
    if (state == XenbusState::kConnected) break;
    if (state == XenbusState::kClosing || state == XenbusState::kClosed)
      return tl::unexpected(describe_wait(wish, {Errc::kPeer, "it refused the connection"}));
    if (const auto woken = wait(deadline); !woken)
      return tl::unexpected(describe_wait(wish, woken.error()));
  }
  const DiskNodes disk = TRY(read_disk(store_->now(), backend_directory_));
  TRY_VOID(set_state(XenbusState::kConnected));
  return disk;
}

void Handshake::close(Clock::time_point deadline) {
  const auto wait_for = [&](auto&& reached) {
    while (true) {
      const auto state = backend_state();
      if (!state || reached(*state)) return;
      std::array<pollfd, 1> entry{pollfd{store_->fd(), POLLIN, 0}};
      if (::poll(entry.data(), 1, milliseconds_until(deadline)) == 0) return;
      bool any = false;
      while (store_->next_event()) any = true;
      if (!any && (entry[0].revents & (POLLHUP | POLLERR)) != 0) return;
    }
  };
  const auto gone = [](XenbusState state) {
    return state == XenbusState::kClosed || state == XenbusState::kUnknown ||
           state == XenbusState::kInitWait || state == XenbusState::kInitialising;
  };
  if (!set_state(XenbusState::kClosing)) return;
  wait_for([&](XenbusState state) { return state == XenbusState::kClosing || gone(state); });
  if (!set_state(XenbusState::kClosed)) return;
  wait_for(gone);
  (void)store_->transact([&](StoreView& store) -> Result<> {
    TRY_VOID(check_same_disk(store));
    if (is_marked_) TRY_VOID(store.remove(directory_ + "/" + kConnectionNode));
    return remove_frontend(store, directory_);
  });
}

}  // namespace splitring::frontend
