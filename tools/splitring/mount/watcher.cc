#include "tools/splitring/mount/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>

namespace splitring::tools {
namespace {

// What was changed is durable after so long, if nobody asks for it earlier.
constexpr int kSettleEveryMs = 5000;
// How long files may stay in use after SIGTERM.
constexpr std::chrono::milliseconds kPatience{1000};

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::start(const StopSignals& stop, FuseSession& session) {
  UniqueFd over(::eventfd(0, EFD_CLOEXEC));
  if (!over) return fail_errno("eventfd", errno);
  std::unique_ptr<Watcher> watcher(new Watcher(std::move(over)));
  watcher->thread_ =
      std::thread([self = watcher.get(), &stop, &session] { self->run(stop, session); });
  return watcher;
}

Watcher::~Watcher() {
  eventfd_write(over_.get(), 1);
  thread_.join();
}

void Watcher::run(const StopSignals& stop, FuseSession& session) const {
  while (true) {
    std::array<pollfd, 2> pollers{{{over_.get(), POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
    const int ready = ::poll(pollers.data(), pollers.size(), kSettleEveryMs);
    if (pollers[0].revents != 0) return;
    if (pollers[1].revents != 0) return session.end(kPatience);
    if (ready == 0) session.wake();
  }
}

}  // namespace splitring::tools
