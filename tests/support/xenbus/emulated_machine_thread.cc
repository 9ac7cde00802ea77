#include "tests/support/xenbus/emulated_machine_thread.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "xenbus/emulated_control.h"
#include "xenbus/emulated_host.h"

namespace splitring::testing {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "emulated host: %s\n", result.error().what.c_str());
    std::abort();
  }
  return std::move(result).value();
}

std::filesystem::path make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "splitring-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

}  // namespace

EmulatedMachineThread::EmulatedMachineThread(unsigned guests, const EmulatedMachineLimits& limits)
    : directory_(make_directory()),
      machine_(must(EmulatedMachine::create(directory_, limits))),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  for (unsigned id = 1; id <= guests; id++)
    if (!machine_->create_domain(DomId{static_cast<uint16_t>(id)})) std::abort();
  thread_ = std::thread([this] { run(); });
}

EmulatedMachineThread::~EmulatedMachineThread() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::unique_ptr<Host> EmulatedMachineThread::host(unsigned domain) const {
  return must(EmulatedHost::open(directory_, DomId{static_cast<uint16_t>(domain)}));
}

EmulatedControl EmulatedMachineThread::control() const {
  return must(open_emulated_control(directory_));
}

void EmulatedMachineThread::stop() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
  machine_.reset();
}

void EmulatedMachineThread::run() {
  for (;;) {
    pollfd entries[] = {{machine_->fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(entries, 2, -1);
    if (entries[1].revents != 0) return;
    machine_->process();
  }
}

}  // namespace splitring::testing
