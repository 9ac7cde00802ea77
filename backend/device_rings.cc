// The rings of a device: from what its frontend says of them to their workers, and their end.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "backend/device.h"
#include "backend/device_snapshot.h"
#include "backend/handover.h"
#include "backend/journal_folder.h"

namespace splitring::backend {

Result<> Device::connect(Store& store) {
  // In no transaction, which the guest could make fail for ever: who writes while it is read gets
  // what it has written.
  const auto frontend = read_frontend(store.now(), path_.frontend_directory(), offer_);
  if (!frontend) {
    if (frontend.error().code != Errc::kPeer) return tl::unexpected(frontend.error());
    return give_up(store, frontend.error().what);
  }
  if (const auto made = make_workers(*frontend); !made) {
    const bool can_wait = own_ == XenbusState::kConnected && made.error().code == Errc::kLimit;
    return can_wait ? made : give_up(store, made.error().what);
  }
  begun_ = false;
  return {};
}

// Before a request can be taken: what says that there is none would be believed by whoever comes
// after us. And not before there are journals, which are all that they have then.
Result<> Device::begin_workers(Store& store) {
  TRY_VOID(change(store, [&](StoreView& view) {
    return view.remove(path_.backend_directory() + "/" + kRestNode);
  }));
  for (const auto& worker : workers_) worker->begin();
  begun_ = true;
  return {};
}

// All or none; none has begun.
Result<> Device::make_workers(const FrontendNodes& frontend) {
  abi_ = context_.options->default_abi;
  if (frontend.protocol) {
    const auto abi = blkif::abi_from(*frontend.protocol);
    if (!abi)
      return fail(Errc::kPeer, "protocol \"" + *frontend.protocol +
                                   "\" is none of x86_64-abi, x86_32-abi, arm-abi");
    abi_ = *abi;
  }
  persistent_ = frontend.persistent_grants && offer_.persistent_grants;
  ring_pages_ = static_cast<uint32_t>(frontend.queues[0].ring_refs.size());
  blkif::DiskLimits limits = disk_limits();
  // A barrier has a meaning only where all requests go through one ring.
  limits.barrier_offered = frontend.queues.size() == 1;
  const uint32_t pages = RingWorker::pages_needed(
      ring_pages_, persistent_,
      std::max<uint32_t>(blkif::kMaxSegments, limits.indirect_segments_offered));
  std::vector<std::unique_ptr<RingWorker>> made;
  for (size_t i = 0; i < frontend.queues.size(); i++) {
    PageBudget::Share share = context_.budget->take(pages);
    if (!share)
      return fail(Errc::kLimit,
                  "no mapped pages left for another ring; give this backend more or fewer devices");
    RingConfig config;
    config.host = context_.host;
    config.disk = disk_;
    config.peer = path_.frontend;
    config.ring_refs = frontend.queues[i].ring_refs;
    config.port = frontend.queues[i].event_channel;
    config.abi = abi_;
    if (journal_token_) {
      config.journal = journal_path(context_.options->journal_directory, path_, i);
      config.journal_token = *journal_token_;
    }
    config.start = start_;
    config.limits = limits;
    config.persistent = persistent_;
    config.looks_at_capacity = i == 0;
    config.polling = context_.options->polling;
    config.log_limit = log_limit_;
    config.name = name_ + (frontend.queues.size() == 1 ? "" : " queue " + std::to_string(i));
    auto worker = TRY(RingWorker::make(std::move(config), std::move(share), context_.changed_fd));
    made.push_back(std::move(worker));
  }
  workers_ = std::move(made);
  return {};
}

// Follows the workers from their start to Connected, or to what went wrong.
Result<> Device::watch_workers(Store& store) {
  using Phase = RingWorker::Phase;
  for (const auto& worker : workers_)
    if (worker->phase() == Phase::kFailed || worker->phase() == Phase::kBroken)
      return give_up(store, worker->error());
  const auto all_are = [&](Phase phase) {
    return std::ranges::all_of(workers_, [&](auto& worker) { return worker->phase() == phase; });
  };
  if (!begun_ && !draining_ && all_are(Phase::kPrepared)) return begin_workers(store);
  return !connected_ && all_are(Phase::kServing) ? tell_disk(store) : Result<>();
}

void Device::stop_workers(const char* why) {
  if (!workers_.empty() && !draining_) {
    log(spdlog::level::info, "disconnecting: {}", why);
    stop();
  }
  reap_workers();
}

void Device::stop() {
  draining_ = !workers_.empty();
  draining_since_ = std::chrono::steady_clock::now();
  for (const auto& worker : workers_) worker->request_stop();
}

void Device::reap_workers() {
  if (!draining_) return;
  std::erase_if(workers_, [this](const std::unique_ptr<RingWorker>& worker) {
    if (!worker->ended()) return false;
    past_.add(worker->counters().values());
    return true;
  });
  if (!workers_.empty()) return;
  draining_ = false;
  connected_ = false;
  remove_journals();
}

bool Device::idle() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](auto& worker) { return worker->ended(); });
}

void Device::abandon() {
  for (const auto& worker : workers_)
    if (!worker->ended()) worker->abandon();
}

}  // namespace splitring::backend
