#include "tools/common/reach_host.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

namespace splitring::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::milliseconds kBetweenTries{10};
// A host takes less to start; whoever waits for longer wants to know why.
constexpr std::chrono::milliseconds kQuietFor{300};

}  // namespace

Result<std::unique_ptr<Host>> reach_host(const HostOptions& options) {
  const auto start = Clock::now();
  const auto directory = emulated_directory(options);
  bool said = false;
  while (true) {
    auto host = open_host(options);
    const auto waited = Clock::now() - start;
    if (host || !directory || host.error().code != Errc::kNotFound || waited > kPatience)
      return host;
    if (!said && waited > kQuietFor) {
      std::fprintf(stderr, "%s: waiting for the emulated host in %s ...\n",
                   program_invocation_short_name, directory->c_str());
      said = true;
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

Result<std::unique_ptr<Host>> reach_toolstack_host(const HostOptions& options) {
  HostOptions toolstack = options;
  if (!toolstack.domain && emulated_directory(options)) toolstack.domain = DomId{0};
  return reach_host(toolstack);
}

}  // namespace splitring::tools
