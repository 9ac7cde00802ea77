// splitring detach: takes a disk away from a domain, as a toolstack does.
#include <cstdio>
#include <memory>

#include "tools/common/reach_host.h"
#include "tools/common/toolstack.h"
#include "tools/splitring/command.h"

namespace splitring::tools {
namespace {

struct DetachOptions {
  DomId guest{};
  uint32_t device = 0;
  std::string vdev;
  uint32_t timeout_s = static_cast<uint32_t>(kDestroyTimeout.count());
  bool force = false;
};

Result<> detach(const Session& session, const DetachOptions& options) {
  const auto host = TRY(reach_toolstack_host(session.host));
  const auto store = TRY(host->open_store());
  const DevicePath path = TRY(find_disk(store->now(), options.guest, options.device));
  TRY_VOID(ask_to_close(*store, path));
  const auto closed = wait_until_closed(*store, path, std::chrono::seconds(options.timeout_s));
  if (!closed && !(options.force && closed.error().code == Errc::kTimeout)) return closed;
  TRY_VOID(remove_disk_nodes(*store, path));
  std::printf("detached %s from domain %u%s\n", options.vdev.c_str(), raw(options.guest),
              closed ? "" : " by force");
  return {};
}

}  // namespace

void add_detach_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<DetachOptions>();
  CLI::App* command = program.add_subcommand("detach", "Take a disk away from a domain");
  add_guest_option(*command, options->guest);
  add_vdev_option(*command, options->device, options->vdev);
  command->add_option("--timeout", options->timeout_s, "How long both ends may take (default: 10)")
      ->check(CLI::Range(0U, 3600U))
      ->type_name("SECONDS");
  command->add_flag("--force", options->force, "After the timeout take it away all the same");
  command->footer(
      "Examples:\n"
      "  splitring detach --domain 1 --vdev xvda\n"
      "  splitring detach --domain 1 --vdev xvda --timeout 2 --force");
  runs(*command, session, options, detach);
}

}  // namespace splitring::tools
