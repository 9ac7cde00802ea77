// How a device comes to us from another backend, and goes from us to the next one.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <system_error>

#include "backend/device.h"
#include "backend/device_snapshot.h"
#include "backend/handover.h"
#include "backend/journal_folder.h"

namespace splitring::backend {
// A frontend that knows the process before us learns that nobody answers for that any more.
Result<> Device::speak_for_ourselves(Store& store) {
  if (offer_.instance == context_.options->offer.instance) return {};
  offer_.instance = context_.options->offer.instance;
  return change(
      store, [&](StoreView& view) { return write_offer(view, path_.backend_directory(), offer_); });
}

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

// The rings of a backend that ended in order say themselves where it ended, and those of one that
// was killed have journals: the frontend sees nothing but a pause. The node of rest is believed
// before journals, which somebody may have removed meanwhile.
Result<bool> Device::go_on(Store& store, const Snapshot& now) {
  if (!now.goes_on()) return false;
  // A file that is another one now would answer with other bytes.
  const auto told = read_disk(store.now(), path_.backend_directory());
  if (!told || told->block_bytes != disk_nodes().block_bytes ||
      told->read_only != disk_nodes().read_only)
    return false;
  const auto taken_up = take_up_rings(store, now);
  if (taken_up) {
    spdlog::info("{}: going on with the rings of a backend that has ended", name_);
    return true;
  }
  seen_ = false;  // nothing has happened: the next look tries again
  if (taken_up.error().code != Errc::kLimit) return tl::unexpected(taken_up.error());
  wait_for(taken_up.error().what);
  return true;
}

Result<> Device::take_up_rings(Store& store, const Snapshot& now) {
  if (now.rest) {
    // Once, though it is tried again: what we write has us look again.
    if (!journal_token_ || now.journal != journal_token_) TRY_VOID(begin_journals(store));
  } else {
    journal_token_ = now.journal;
    start_ = PumpStart::kGoOn;
  }
  return connect(store);
}

// Closing would end the guest's disk. Said once in the log, and in the report while it lasts.
void Device::wait_for(const std::string& why) {
  const std::string waiting = why + "; the guest's requests wait meanwhile";
  if (error_ != waiting) spdlog::warn("{}: {}", name_, waiting);
  error_ = waiting;
}

// A process that was killed is no more, but the kernel may still do its I/O, and holds its files
// and their locks until that is done.
bool Device::wait_for_predecessor(const Snapshot& now) {
  return now.journal && journals_in_use(context_.options->journal_directory, path_) &&
         keep_waiting(now, "the process before us still holds the journals of its rings");
}

bool Device::keep_waiting(const Snapshot& now, const std::string& why) {
  if (!busy_since_) busy_since_ = std::chrono::steady_clock::now();
  if (image_busy()) return true;
  if (!now.goes_on()) return false;
  wait_for(why);
  return true;
}

bool Device::image_busy() const {
  return busy_since_ &&
         std::chrono::steady_clock::now() - *busy_since_ < context_.options->busy_patience;
}

// A disk in memory ends with its process.
bool Device::survives_us() const { return !target_.starts_with("mem:"); }

// The token is in the store before a request can be taken, so that no other connection's journal is
// believed.
Result<> Device::begin_journals(Store& store) {
  start_ = PumpStart::kFresh;
  journal_token_.reset();
  const std::string node = path_.backend_directory() + "/" + kJournalNode;
  if (context_.options->journal_directory.empty() || !survives_us()) {
    return change(store, [&](StoreView& view) -> Result<> {
      return TRY(read_optional(view, node)) ? view.remove(node) : Result<>();
    });
  }
  std::random_device random;
  journal_token_ = uint64_t{random()} << 32 | random();
  return change(store,
                [&](StoreView& view) { return view.write(node, std::to_string(*journal_token_)); });
}

void Device::remove_journals() const {
  if (journal_token_) backend::remove_journals(context_.options->journal_directory, path_);
}

// A ring whose image hangs has requests under way, of which its journal alone knows.
void Device::leave_to_successor(Store& store) const {
  if (workers_.empty()) return;
  // What we have found is there yet: a node, or journals of what we have not done.
  if (!begun_ && own_ == XenbusState::kConnected) return;
  const bool sound = std::none_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->phase() == RingWorker::Phase::kFailed ||
           worker->phase() == RingWorker::Phase::kBroken;
  });
  if (!sound || !survives_us() || own_ != XenbusState::kConnected) return remove_journals();
  if (!idle()) return;
  (void)store.transact([&](StoreView& view) -> Result<> {
    // Whoever has asked for the end meanwhile gets it.
    if (TRY(read_state(view, path_.backend_directory())) != XenbusState::kConnected) return {};
    return view.write(path_.backend_directory() + "/" + kRestNode, "1");
  });
}

}  // namespace splitring::backend
