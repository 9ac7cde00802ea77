// splitring domain: the domains of an emulated host.
#include <cstdio>
#include <memory>

#include "tools/common/reach_host.h"
#include "tools/splitring/command.h"
#include "tools/splitring/json_output.h"
#include "xenbus/emulated_control.h"

namespace splitring::tools {
namespace {

struct DomainOptions {
  DomId domain{};
  bool json = false;
};

Result<EmulatedControl> open_control(const Session& session) {
  const auto directory = emulated_directory(session.host);
  if (!directory)
    return fail(Errc::kUnsupported,
                "this is a Xen host, whose domains are xl's (name an emulated one with --host)");
  TRY(reach_toolstack_host(session.host));  // it may be starting
  return open_emulated_control(*directory);
}

Result<> create(const Session& session, const DomainOptions& options) {
  EmulatedControl control = TRY(open_control(session));
  TRY_VOID(control.create_domain(options.domain));
  std::printf("created domain %u\n", raw(options.domain));
  return {};
}

Result<> destroy(const Session& session, const DomainOptions& options) {
  EmulatedControl control = TRY(open_control(session));
  TRY_VOID(control.destroy_domain(options.domain));
  std::printf("destroyed domain %u\n", raw(options.domain));
  return {};
}

Result<> list(const Session& session, const DomainOptions& options) {
  EmulatedControl control = TRY(open_control(session));
  nlohmann::json array = nlohmann::json::array();
  if (!options.json)
    std::printf("%-7s %8s %8s %12s %8s %8s\n", "DOMAIN", "HANDLES", "GRANTS", "QUARANTINED",
                "MAPPED", "PORTS");
  for (const DomId domain : TRY(control.domains())) {
    const auto counted = control.counts(domain);
    if (!counted && counted.error().code == Errc::kNotFound) continue;  // it has just gone
    const DomainCounts counts = TRY(counted);
    if (options.json)
      array.push_back({{"domain", raw(domain)},
                       {"handles", counts.handles},
                       {"grants", counts.grants},
                       {"quarantined", counts.quarantined},
                       {"mapped", counts.pins},
                       {"ports", counts.ports}});
    else
      std::printf("%-7u %8u %8u %12u %8u %8u\n", raw(domain), counts.handles, counts.grants,
                  counts.quarantined, counts.pins, counts.ports);
  }
  if (options.json) print_json(array);
  return {};
}

void add_verb(CLI::App& parent, Session& session, const char* name, const char* help,
              Result<> (*run)(const Session&, const DomainOptions&)) {
  auto options = std::make_shared<DomainOptions>();
  CLI::App* command = parent.add_subcommand(name, help);
  add_domain_option(
      *command, "id", [options](DomId domain) { options->domain = domain; }, "Its number")
      ->required();
  runs(*command, session, options, run);
}

void add_list(CLI::App& parent, Session& session) {
  auto options = std::make_shared<DomainOptions>();
  CLI::App* command =
      parent.add_subcommand("list", "Show the domains, and the grants and ports they hold");
  command->add_flag("--json", options->json, "As JSON");
  runs(*command, session, options, list);
}

}  // namespace

void add_domain_command(CLI::App& program, Session& session) {
  CLI::App* command = program.add_subcommand("domain", "Make, end and list domains");
  command->require_subcommand(1);
  command->footer(
      "On an emulated host only (see `splitring host`).\n"
      "Examples:\n"
      "  splitring domain create 1\n"
      "  splitring domain list --json\n"
      "  splitring domain destroy 1");
  add_verb(*command, session, "create", "Make a domain", create);
  add_verb(*command, session, "destroy", "End a domain and all that it has", destroy);
  add_list(*command, session);
}

}  // namespace splitring::tools
