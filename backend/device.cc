#include "backend/device.h"

#include <spdlog/spdlog.h>

#include "backend/device_snapshot.h"
#include "backend/handover.h"
#include "base/parse.h"

namespace splitring::backend {

Device::Device(DevicePath path, const DeviceContext& context)
    : path_(std::move(path)),
      context_(context),
      name_(path_.kind + " " + std::to_string(raw(path_.frontend)) + "/" +
            virtual_device_name(path_.device)) {}

Device::~Device() = default;

Result<Device::Snapshot> Device::read(Store& store) const {
  Snapshot now;
  const std::string backend = path_.backend_directory();
  const std::string frontend = path_.frontend_directory();
  // Not in the transaction, which the guest could make fail for ever; and before it, so that a
  // device that was made anew is never seen with its old directory and its new frontend.
  const auto back = TRY(read_optional(store.now(), frontend + "/backend"));
  const XenbusState frontend_state = TRY(read_state(store.now(), frontend));
  TRY_VOID(store.transact([&](StoreView& view) -> Result<> {
    now = {};
    const auto link = TRY(read_optional(view, backend + "/frontend"));
    now.own = TRY(read_state(view, backend));
    if (!link || now.own == XenbusState::kUnknown) return {};
    now.exists = true;
    now.online = TRY(read_optional(view, backend + "/online")) == "1";
    now.target = TRY(read_optional(view, backend + "/params")).value_or("");
    now.mode = TRY(read_optional(view, backend + "/mode")).value_or("r");
    now.discard_enabled = TRY(read_optional(view, backend + "/discard-enable")) != "0";
    now.ready = !TRY(read_optional(view, backend + "/script")) ||
                TRY(read_optional(view, backend + "/hotplug-status")) == "connected";
    now.rest = TRY(read_optional(view, backend + "/" + kRestNode)).has_value();
    if (now.own == XenbusState::kConnected && !context_.options->journal_directory.empty())
      now.journal =
          parse_decimal(TRY(read_optional(view, backend + "/" + kJournalNode)).value_or(""));
    now.handover = TRY(read_optional(view, backend + "/" + kHandoverNode)).has_value();
    now.belongs = link == frontend && back == backend && !domain_dead_;
    if (now.belongs) now.frontend = frontend_state;
    return {};
  }));
  return now;
}

Result<> Device::step(Store& store) {
  steps_++;
  Snapshot now = TRY(read(store));
  reap_workers();
  if (domain_dead_) {
    stop_workers("its domain died");
    TRY_VOID(remove_directory(store));
    domain_dead_ = false;
    now = {};
  }
  own_ = now.own;
  const bool replaced = seen_ && now.exists && now.own == XenbusState::kInitialising;
  if (!now.exists || replaced) {
    stop_workers(replaced ? "attached anew" : "detached");
    if (!workers_.empty()) return {};
    disk_.reset();
    opening_.reset();
    busy_since_.reset();
    seen_ = false;
    offered_ = false;
    error_.clear();
    finished_ = !now.exists;
    if (finished_) return {};
  }
  TRY_VOID(reconcile(store, now));
  return now.handover && seen_ ? answer_script(store) : Result<>();
}

void Device::step_failed(const Error& error) { log(spdlog::level::err, "{}", error.what); }

// Nobody else removes what a toolstack of our own kind made for a domain that has died. It is done
// at once, before anything else is waited for: a directory that is found there later was made for
// another domain of that number (B33).
Result<> Device::remove_directory(Store& store) const {
  const std::string directory = path_.backend_directory();
  const std::string parent = directory.substr(0, directory.rfind('/'));
  return store.transact([&](StoreView& view) -> Result<> {
    auto removed = view.remove(directory);
    if (!removed) return removed.error().code == Errc::kNotFound ? Result<>() : removed;
    const auto others = view.list(parent);
    return others && others->empty() ? view.remove(parent) : Result<>();
  });
}

// The toolstack may remove the directory at any moment. A write that came after that would bring it
// back, as one that belongs to nobody; what has gone is seen by the next step.
Result<> Device::change(Store& store, const std::function<Result<>(StoreView&)>& body) const {
  return store.transact([&](StoreView& view) -> Result<> {
    if (!TRY(read_optional(view, path_.backend_directory() + "/frontend"))) return {};
    return body(view);
  });
}

Result<> Device::reconcile(Store& store, const Snapshot& now) {
  if (!seen_) return first_sight(store, now);
  if (draining_ && !workers_.empty()) return wait_for_workers(store);
  if (!workers_.empty()) TRY_VOID(watch_workers(store));
  return follow_frontend(store, now);
}

// An image that hangs holds up neither the toolstack nor the frontend: for them the device closes
// in time. Nobody connects again before the image has answered, though: a write that is still under
// way could land on a later one (B37).
Result<> Device::wait_for_workers(Store& store) {
  return hangs() ? enter(store, XenbusState::kClosed) : Result<>();
}

bool Device::hangs() const {
  return draining_ &&
         std::chrono::steady_clock::now() - draining_since_ >= context_.options->drain_timeout;
}

// What a new directory asks for, or one that another backend process has left.
Result<> Device::first_sight(Store& store, const Snapshot& now) {
  if (now.own == XenbusState::kClosing && !now.online) {  // for that no image is needed
    opening_.reset();
    busy_since_.reset();
    seen_ = true;
    return follow_frontend(store, now);
  }
  if (wait_for_predecessor(now)) return {};
  TRY_VOID(tell_offer(store, now));
  if (now.own == XenbusState::kInitialising) disk_.reset();  // of a device that was replaced
  if (!disk_ && !TRY(open_image(store, now))) return {};
  seen_ = true;
  if (!disk_) return {};
  if (now.own == XenbusState::kInitialising) return enter(store, XenbusState::kInitWait);
  if (now.own == XenbusState::kInitWait) return follow_frontend(store, now);
  if (TRY(go_on(store, now))) return {};
  TRY_VOID(speak_for_ourselves(store));
  spdlog::info("{}: taking over from a backend that has ended", name_);
  const bool frontend_up = now.frontend == XenbusState::kInitialised ||
                           now.frontend == XenbusState::kConnected ||
                           now.frontend == XenbusState::kClosing;
  if (frontend_up) return enter(store, XenbusState::kClosing);
  return follow_frontend(store, now);
}

// Before the image, so that a frontend knows that another process speaks (BackendOffer::instance).
// One that goes on where another ended speaks for that. Once: what we write has us look again.
Result<> Device::tell_offer(Store& store, const Snapshot& now) {
  const std::string directory = path_.backend_directory();
  offer_ = context_.options->offer;
  if (now.rest || now.journal) {
    const BackendOffer promised = TRY(read_offer(store.now(), directory));
    offer_ = widened(offer_, promised);
    if (now.goes_on()) offer_.instance = promised.instance;
  }
  const auto told = TRY(read_optional(store.now(), directory + "/splitring-instance"));
  if (offered_ && told.value_or("") == offer_.instance) return {};
  offered_ = true;
  return change(store, [&](StoreView& view) { return write_offer(view, directory, offer_); });
}

Result<> Device::follow_frontend(Store& store, const Snapshot& now) {
  const bool waiting = own_ == XenbusState::kInitWait;
  switch (now.frontend) {
    case XenbusState::kInitialising:
      stop_workers("the frontend starts again");
      if (!workers_.empty()) return {};
      if (!now.online) return enter(store, XenbusState::kClosed);
      return disk_ ? enter(store, XenbusState::kInitWait) : Result<>();
    case XenbusState::kInitialised:
    case XenbusState::kConnected:
      if (!workers_.empty()) return connected_ ? check_capacity(store) : Result<>();
      if (!waiting || !now.ready || !disk_) return {};
      TRY_VOID(begin_journals(store));
      return connect(store);
    case XenbusState::kClosing:
      stop_workers("the frontend closes");
      return workers_.empty() && own_ != XenbusState::kClosed ? enter(store, XenbusState::kClosing)
                                                              : Result<>();
    case XenbusState::kClosed:
      stop_workers("the frontend has closed");
      return workers_.empty() && !waiting ? enter(store, XenbusState::kClosed) : Result<>();
    default:
      // No frontend to speak of: one that vanished, or one that the toolstack has yet to write.
      stop_workers("the frontend has gone");
      if (!workers_.empty()) return {};
      return own_ == XenbusState::kConnected || own_ == XenbusState::kClosing
                 ? enter(store, XenbusState::kClosed)
                 : Result<>();
  }
}

// In several steps; false: come back. True: there is a disk, or it was said why there is none.
Result<bool> Device::open_image(Store& store, const Snapshot& now) {
  const bool read_only = now.mode != "w";
  if (opening_ && !opening_->is_of(now.target, read_only)) opening_.reset();
  if (!opening_) {
    target_ = now.target;
    discard_enabled_ = now.discard_enabled;
    auto started = ImageOpening::start(
        {*context_.schemes, context_.options->allowed_roots, target_, {.read_only = read_only}},
        context_.changed_fd);
    if (!started && now.goes_on()) {
      wait_for(started.error().what);
      return false;
    }
    if (!started) {
      TRY_VOID(refuse_image(store, now, started.error().what));
      return true;
    }
    opening_ = std::move(*started);
  }
  if (!opening_->done()) return false;
  auto disk = opening_->take();
  opening_.reset();
  if (!disk && disk.error().code == Errc::kBusy && keep_waiting(now, disk.error().what))
    return false;
  busy_since_.reset();
  if (!disk) {
    TRY_VOID(refuse_image(store, now, disk.error().what));
    return true;
  }
  disk_ = std::move(*disk);
  error_.clear();
  spdlog::info("{}: {} opened, {} sectors, {}", name_, target_, disk_->geometry().capacity.count,
               disk_->geometry().read_only ? "read-only" : "read-write");
  return true;
}

// A toolstack with a script waits for InitWait before anything else, and looks for what is wrong
// only once the script has said so: it gets both.
Result<> Device::refuse_image(Store& store, const Snapshot& now, std::string why) {
  const bool script_waits =
      !now.ready && (now.own == XenbusState::kInitialising || now.own == XenbusState::kInitWait);
  if (!script_waits) return give_up(store, std::move(why));
  error_ = std::move(why);
  log(spdlog::level::err, "{}", error_);
  const std::string directory = path_.backend_directory();
  TRY_VOID(change(store, [&](StoreView& view) -> Result<> {
    TRY_VOID(view.write(directory + "/" + kErrorNode, error_));
    return write_state(view, directory, XenbusState::kInitWait);
  }));
  own_ = XenbusState::kInitWait;
  return {};
}

Result<> Device::tell_disk(Store& store) {
  const std::string directory = path_.backend_directory();
  const DiskNodes nodes = disk_nodes();
  TRY_VOID(change(store, [&](StoreView& view) -> Result<> {
    TRY_VOID(write_disk(view, directory, nodes));
    static_cast<void>(view.remove(directory + "/" + kErrorNode));
    return write_state(view, directory, XenbusState::kConnected);
  }));
  own_ = XenbusState::kConnected;
  connected_ = true;
  told_capacity_ = nodes.capacity;
  error_.clear();
  log(spdlog::level::info, "connected, {} queue(s) of {} page(s), {}, {} grants", workers_.size(),
      ring_pages_, blkif::to_string(abi_), persistent_ ? "persistent" : "copied");
  return {};
}

// An image that has grown or shrunk: the frontend reads `sectors` again when it sees the state
// written once more (Linux's way).
Result<> Device::check_capacity(Store& store) {
  if (own_ != XenbusState::kConnected) return {};  // the toolstack has asked for the end
  const Sectors now = disk_->geometry().capacity;  // as a ring's thread has found it
  if (now == told_capacity_) return {};
  const std::string directory = path_.backend_directory();
  TRY_VOID(change(store, [&](StoreView& view) -> Result<> {
    TRY_VOID(view.write(directory + "/sectors", std::to_string(now.count)));
    return write_state(view, directory, XenbusState::kConnected);
  }));
  log(spdlog::level::info, "resized from {} to {} sectors", told_capacity_.count, now.count);
  told_capacity_ = now;
  return {};
}

// `why` by value: it may be the word of a worker, which goes with it.
Result<> Device::give_up(Store& store, std::string why) {
  error_ = std::move(why);
  log(spdlog::level::err, "{}", error_);
  stop_workers("it failed");
  TRY_VOID(speak_for_ourselves(store));
  static_cast<void>(change(store, [&](StoreView& view) {
    return view.write(path_.backend_directory() + "/" + kErrorNode, error_);
  }));
  return enter(store, XenbusState::kClosing);
}

Result<> Device::enter(Store& store, XenbusState state) {
  if (own_ == state) return {};
  TRY_VOID(change(
      store, [&](StoreView& view) { return write_state(view, path_.backend_directory(), state); }));
  spdlog::debug("{}: {} -> {}", name_, to_string(own_), to_string(state));
  own_ = state;
  return {};
}

}  // namespace splitring::backend
