// splitring: everything that a person types. Each command has a file of its own.
#include "tools/splitring/command.h"
#include "tools/splitring/kv_session.h"

int main(int argc, char** argv) {
  using namespace splitring::tools;

  Session session;
  CLI::App program("Disks of Xen guests, from userspace.", "splitring");
  program.set_version_flag("--version", std::string("splitring ") + kVersion);
  program.require_subcommand(1);
  program.fallthrough();
  program.footer(
      "A DISK is a URI: raw:PATH, mem:SIZE, vbd:xvda (a disk that this domain is given).\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage.\n"
      "`splitring COMMAND --help` shows examples. Manual page: splitring(1).");
  add_host_options(program, session.host);
  add_host_command(program, session);
  add_domain_command(program, session);
  add_attach_command(program, session);
  add_detach_command(program, session);
  add_handover_command(program, session);
  add_claim_command(program, session);
  add_doctor_command(program, session);
  add_list_command(program, session);
  add_info_command(program, session);
  add_copy_command(program, session);
  add_bench_command(program, session);
  add_tar_command(program, session);
  add_fat_command(program, session);
  add_mount_command(program, session);
  add_kv_command(program, session);
  add_crunch_command(program, session);

  if (const auto exit_code = parse_arguments(program, argc, argv)) return *exit_code;
  if (const auto done = session.run(); !done)
    return report_failure("splitring: " + session.command, done.error());
  return kExitOk;
}
