#include "tools/common/state_wait.h"

#include <poll.h>

#include <algorithm>

namespace splitring::tools {
namespace {

using Clock = std::chrono::steady_clock;

// False: the time is over.
Result<bool> wait_for_event(Store& store, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd poller{store.fd(), POLLIN, 0};
    const int ready = ::poll(&poller, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return fail_errno("waiting for the store", errno);
  }
}

Result<> watch_until(Store& store, Clock::time_point deadline,
                     const std::function<Result<bool>()>& look) {
  for (;;) {
    if (TRY(look())) return {};
    if (!TRY(wait_for_event(store, deadline))) return fail(Errc::kTimeout, "");
    while (store.next_event()) {
    }
  }
}

}  // namespace

Result<> wait_for(Store& store, const std::string& path, std::chrono::milliseconds timeout,
                  const std::function<Result<bool>()>& look) {
  const std::string token = "wait";
  const auto deadline = Clock::now() + timeout;
  TRY_VOID(store.watch(path, token));
  auto result = watch_until(store, deadline, look);
  const auto unwatched = store.unwatch(path, token);
  return result ? unwatched : result;
}

}  // namespace splitring::tools
