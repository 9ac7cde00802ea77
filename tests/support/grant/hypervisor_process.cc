#include "tests/support/grant/hypervisor_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

namespace splitring::testing {
namespace {

constexpr int kQuestions = 1000;

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "splitring-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ChildProcess::ChildProcess(const std::function<bool()>& body) {
  pid_ = ::fork();
  if (pid_ < 0) std::abort();
  if (pid_ > 0) return;
  // Not exit(): the parent's objects are not ours to destroy.
  const bool good = body() && !::testing::Test::HasFailure();
  std::fflush(nullptr);
  ::_exit(good ? 0 : 1);
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) kill();
}

bool ChildProcess::join() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void ChildProcess::kill() {
  ::kill(pid_, SIGKILL);
  join();
}

bool ChildProcess::is_running() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

Signal::Signal() {
  if (::pipe(ends_) != 0) std::abort();
}

Signal::~Signal() {
  ::close(ends_[0]);
  ::close(ends_[1]);
}

void Signal::raise() const {
  if (::write(ends_[1], "!", 1) != 1) std::abort();
}

void Signal::wait() const {
  char byte;
  while (::read(ends_[0], &byte, 1) != 1) {
    if (errno != EINTR) std::abort();
  }
}

namespace {

[[noreturn]] void serve(const std::filesystem::path& directory, unsigned guests,
                        const HypervisorLimits& limits, const Signal& ready) {
  auto created = EmulatedHypervisorServer::create(limits);
  if (!created) std::abort();
  EmulatedHypervisorServer& server = **created;
  const auto start = [&](DomId id) -> Result<> {
    TRY_VOID(server.introduce(id));
    return server.listen(id, directory / std::to_string(raw(id)));
  };
  server.set_domain_control({start, [&](DomId id) { return server.release(id); }});
  for (unsigned id = 0; id <= guests; id++)
    if (!start(DomId{static_cast<uint16_t>(id)})) std::abort();
  ready.raise();
  for (;;) {
    pollfd entry{server.fd(), POLLIN, 0};
    ::poll(&entry, 1, -1);
    server.process();
  }
}

}  // namespace

HypervisorProcess::HypervisorProcess(unsigned guests, const HypervisorLimits& limits) {
  const Signal ready;
  process_ = std::make_unique<ChildProcess>(
      [&]() -> bool { serve(directory_.path(), guests, limits, ready); });
  ready.wait();
  auto control = EmulatedControl::open(socket(0));
  if (!control) std::abort();
  control_ = std::make_unique<EmulatedControl>(*std::move(control));
}

std::filesystem::path HypervisorProcess::socket(unsigned domain) const {
  return directory_.path() / std::to_string(domain);
}

DomainCounts HypervisorProcess::counts(unsigned domain) {
  auto counts = control_->counts(DomId{static_cast<uint16_t>(domain)});
  if (!counts) ADD_FAILURE() << counts.error().what;
  return counts ? *counts : DomainCounts{};
}

DomainCounts HypervisorProcess::counts_after_close(unsigned domain, uint32_t handles) {
  DomainCounts now = counts(domain);
  for (int i = 0; i < kQuestions && now.handles > handles; i++) now = counts(domain);
  return now;
}

}  // namespace splitring::testing
