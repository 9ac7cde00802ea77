#include "tools/common/stop_signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace splitring::tools {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// From here on they arrive at the descriptor only.
Result<UniqueFd> make_descriptor(const sigset_t& signals) {
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return fail_errno("blocking signals", error);
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd", errno);
  return fd;
}

}  // namespace

Result<StopSignals> StopSignals::install() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  // A blocked signal is queued even if it is ignored (Linux, kernel/signal.c, sig_ignored()).
  if (!is_ignored(SIGINT)) sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return StopSignals(TRY(make_descriptor(signals)));
}

bool StopSignals::arrived() const {
  pollfd poller{fd_.get(), POLLIN, 0};
  return ::poll(&poller, 1, 0) > 0;
}

Result<ReloadSignal> ReloadSignal::install() {
  sigset_t signals;
  sigemptyset(&signals);
  if (!is_ignored(SIGHUP)) sigaddset(&signals, SIGHUP);
  return ReloadSignal(TRY(make_descriptor(signals)));
}

void ReloadSignal::clear() const {
  signalfd_siginfo signal{};
  while (::read(fd_.get(), &signal, sizeof signal) > 0) {
  }
}

}  // namespace splitring::tools
