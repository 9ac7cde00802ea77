// How a device comes to us from another backend, and goes from us to the next one.
#include <spdlog/spdlog.h>

#include "backend/device.h"
#include "backend/device_snapshot.h"
#include "backend/handover.h"

namespace splitring::backend {

// After first_sight(): the script learns of an image that could not be opened, too.
Result<> Device::answer_script(Store& store) {
  const auto answered = change(store, [&](StoreView& view) -> Result<> {
    offer_ = TRY(answer_handover(view, path_.backend_directory(), context_.options->offer));
    return {};
  });
  if (answered || answered.error().code != Errc::kUnsupported) return answered;
  TRY_VOID(give_up(store, answered.error().what));
  return change(store, [&](StoreView& view) {
    return view.remove(path_.backend_directory() + "/" + kHandoverNode);
  });
}

// The rings of a backend that ended in order say themselves where it ended: the frontend sees
// nothing but a pause. The node goes first: if we die, our successor must not believe it.
Result<bool> Device::go_on(Store& store, const Snapshot& now) {
  if (!now.rest) return false;
  TRY_VOID(store.now().remove(path_.backend_directory() + "/" + kRestNode));
  if (now.own != XenbusState::kConnected || now.frontend != XenbusState::kConnected) return false;
  // A file that is another one now would answer with other bytes.
  const auto told = read_disk(store.now(), path_.backend_directory());
  if (!told || told->block_bytes != disk_nodes().block_bytes ||
      told->read_only != disk_nodes().read_only)
    return false;
  spdlog::info("{}: going on with the rings of a backend that has ended", name_);
  TRY_VOID(connect(store, now));
  return true;
}

// A disk in memory ends with its process.
void Device::leave_to_successor(Store& store) const {
  const bool survives = !target_.starts_with("mem:");
  if (workers_.empty() || !idle() || !survives || own_ != XenbusState::kConnected) return;
  for (const auto& worker : workers_)
    if (worker->phase() != RingWorker::Phase::kStopped) return;
  (void)store.transact([&](StoreView& view) -> Result<> {
    // Whoever has asked for the end meanwhile gets it.
    if (TRY(read_state(view, path_.backend_directory())) != XenbusState::kConnected) return {};
    return view.write(path_.backend_directory() + "/" + kRestNode, "1");
  });
}

}  // namespace splitring::backend
