// A subcommand of `splitring`: it declares its options on construction of the command line and runs
// after parsing. One file a command; main() only lists them.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "tools/common/program.h"
#include "xenbus/host.h"

namespace splitring::tools {

// What the command line says for every command, and which command it names.
struct Session {
  HostOptions host;
  std::string command;  // "attach": for messages
  std::function<Result<>()> run;
};

// Each declares its command on `program`; parsing it fills in session.command and session.run.
// The session must outlive the program.
void add_host_command(CLI::App& program, Session& session);
void add_domain_command(CLI::App& program, Session& session);
void add_attach_command(CLI::App& program, Session& session);
void add_detach_command(CLI::App& program, Session& session);
void add_handover_command(CLI::App& program, Session& session);
void add_claim_command(CLI::App& program, Session& session);
void add_doctor_command(CLI::App& program, Session& session);
void add_list_command(CLI::App& program, Session& session);
void add_info_command(CLI::App& program, Session& session);
void add_copy_command(CLI::App& program, Session& session);
void add_bench_command(CLI::App& program, Session& session);
void add_tar_command(CLI::App& program, Session& session);
void add_fat_command(CLI::App& program, Session& session);
void add_mount_command(CLI::App& program, Session& session);
void add_crunch_command(CLI::App& program, Session& session);

// "tar ls": with the commands that it is part of, without the program.
std::string full_name(const CLI::App& command);

// For a command whose options live in `options` (shared with the option parsers).
template <class Options>
void runs(CLI::App& command, Session& session, std::shared_ptr<Options> options,
          Result<> (*run)(const Session&, const Options&)) {
  command.callback([&command, &session, options, run] {
    session.command = full_name(command);
    session.run = [&session, options, run] { return run(session, *options); };
  });
}

// "--domain", of the guest that gets a disk: shadows the program's own option of that name.
void add_guest_option(CLI::App& command, DomId& guest);
// "--vdev", as the guest calls the disk; `number` and `name` are filled in.
void add_vdev_option(CLI::App& command, uint32_t& number, std::string& name);

}  // namespace splitring::tools
