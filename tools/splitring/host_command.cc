// splitring host: plays a Xen host on this machine until it is told to stop.
#include <poll.h>

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "tools/common/stop_signals.h"
#include "tools/splitring/command.h"
#include "xenbus/emulated_machine.h"

namespace splitring::tools {
namespace {

struct HostCommandOptions {
  std::filesystem::path directory;
  std::vector<DomId> domains;
  EmulatedMachineLimits limits;
};

void print_ready(const EmulatedMachine& machine) {
  const std::string directory = machine.directory().string();
  std::printf(
      "host: ready in %s\n"
      "To speak for domain N:\n"
      "  export SPLITRING_HOST=%s SPLITRING_DOMAIN=N        (splitring, splitringd)\n"
      "  export XENSTORED_PATH=%s/N/xenstored        (Debian's xenstore-ls, -read, -write)\n",
      directory.c_str(), directory.c_str(), directory.c_str());
  std::fflush(stdout);
}

Result<> serve(EmulatedMachine& machine, const StopSignals& stop) {
  while (!stop.arrived()) {
    std::array<pollfd, 2> pollers{{{machine.fd(), POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
    if (::poll(pollers.data(), pollers.size(), -1) < 0 && errno != EINTR)
      return fail_errno("waiting for clients", errno);
    machine.process();
  }
  return {};
}

Result<> run_host(const Session& session, const HostCommandOptions& options) {
  const StopSignals stop = TRY(StopSignals::install());
  std::filesystem::path directory = options.directory;
  if (directory.empty())
    directory = emulated_directory(session.host).value_or(default_emulated_directory());
  const auto machine = TRY(EmulatedMachine::create(directory, options.limits));
  for (const DomId domain : options.domains)
    if (domain != DomId{0}) TRY_VOID(machine->create_domain(domain));
  print_ready(*machine);
  return serve(*machine, stop);
}

}  // namespace

void add_host_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<HostCommandOptions>();
  CLI::App* command = program.add_subcommand("host", "Play a Xen host on this machine");
  command
      ->add_option_function<std::string>(
          "--dir", [options](const std::string& text) { options->directory = text; },
          "Where its sockets go (default: --host, $SPLITRING_HOST, else a runtime directory)")
      ->type_name("DIR");
  add_domain_option(
      *command, "--domain", [options](DomId domain) { options->domains.push_back(domain); },
      "A domain to begin with, beside domain 0; may be given several times")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->trigger_on_parse();
  command
      ->add_option("--grant-limit", options->limits.hypervisor.grants_per_domain,
                   "Pages that a domain may grant at a time (default: 1024, as Linux's gntalloc)")
      ->type_name("PAGES")
      ->check(CLI::Range(64, 1 << 20));
  command->footer(
      "Runs until Ctrl-C or SIGTERM and removes its sockets. Prints \"host: ready in DIR\" once "
      "it\n"
      "answers. Everything that lived on it ends with it.\n"
      "Examples:\n"
      "  splitring host\n"
      "  splitring host --dir /tmp/host --domain 1 --domain 2");
  runs(*command, session, options, run_host);
}

}  // namespace splitring::tools
