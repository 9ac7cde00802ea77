#include "tools/splitring/mount/background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "tools/common/program.h"

namespace splitring::tools {
namespace {

[[noreturn]] void wait_for(pid_t child, int from_child) {
  char ready = 0;
  ssize_t count = 0;
  do count = ::read(from_child, &ready, 1);
  while (count < 0 && errno == EINTR);
  if (count == 1) _exit(kExitOk);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  _exit(WIFEXITED(status) && WEXITSTATUS(status) != kExitOk ? WEXITSTATUS(status) : kExitFailed);
}

}  // namespace

Result<Background> Background::enter() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  UniqueFd from_child(ends[0]);
  Background background;
  background.to_parent_.reset(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork", errno);
  if (child > 0) {
    background.to_parent_.reset();
    wait_for(child, from_child.get());
  }
  ::setsid();
  return background;
}

void Background::ready() {
  if (!to_parent_) return;
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (nothing) ::dup2(nothing.get(), standard);
  // If it fails, a working directory that cannot be unmounted is all that it costs.
  [[maybe_unused]] const int moved = ::chdir("/");
  const char ready = 1;
  while (::write(to_parent_.get(), &ready, 1) < 0 && errno == EINTR) continue;
  to_parent_.reset();
}

}  // namespace splitring::tools
