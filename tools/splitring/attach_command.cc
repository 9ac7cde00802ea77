// splitring attach: gives a disk to a domain, as a toolstack does.
#include <cstdio>
#include <memory>

#include "tools/common/disks.h"
#include "tools/common/reach_host.h"
#include "tools/common/toolstack.h"
#include "tools/splitring/command.h"

namespace splitring::tools {
namespace {

struct AttachOptions {
  DomId guest{};
  DomId backend{};
  uint32_t device = 0;
  std::string vdev;
  std::string target;
  std::string kind = "splitring";
  std::string mode = "w";
  uint32_t wait_s = static_cast<uint32_t>(kInitTimeout.count());
  bool no_wait = false;
};

Result<> wait_and_finish(Store& store, const DiskSpec& disk, uint32_t wait_s) {
  TRY_VOID(wait_for_backend(store, disk.path, std::chrono::seconds(wait_s)));
  return finish_hotplug(store, disk.path);
}

Result<> attach(const Session& session, const AttachOptions& options) {
  const DiskSpec disk{{options.kind, options.backend, options.guest, options.device},
                      options.vdev,
                      TRY(absolute_disk_uri(options.target)),
                      options.mode == "r"};
  const auto host = TRY(reach_toolstack_host(session.host));
  const auto store = TRY(host->open_store());
  TRY_VOID(write_disk_nodes(*store, disk));
  if (!options.no_wait) {
    auto finished = wait_and_finish(*store, disk, options.wait_s);
    if (!finished) {
      // As libxl does: what could not be set up leaves nothing behind. The first error counts.
      (void)remove_disk_nodes(*store, disk.path);
      return fail_within(options.vdev + " (" + disk.target + ")", std::move(finished).error());
    }
  }
  std::printf("attached %s to domain %u as %s (%s)%s\n", disk.target.c_str(), raw(options.guest),
              disk.vdev.c_str(), disk.read_only ? "read-only" : "read-write",
              options.no_wait ? "; not waiting for the backend" : "");
  return {};
}

}  // namespace

void add_attach_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<AttachOptions>();
  CLI::App* command = program.add_subcommand("attach", "Give a disk to a domain");
  add_guest_option(*command, options->guest);
  add_vdev_option(*command, options->device, options->vdev);
  command->add_option("--target", options->target, "The disk: raw:PATH, mem:SIZE, ...")
      ->type_name("DISK")
      ->required();
  command->add_option("--mode", options->mode, "r: read-only, w: read-write (default)")
      ->check(CLI::IsMember({"r", "w"}))
      ->type_name("r|w");
  add_domain_option(
      *command, "--backend", [options](DomId domain) { options->backend = domain; },
      "The domain whose splitringd serves it (default: 0)");
  command
      ->add_option("--kind", options->kind,
                   "Of backend: the store's backend/KIND (default: splitring)")
      ->check([](const std::string& kind) {
        const bool plain =
            !kind.empty() && kind.size() <= 32 &&
            kind.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
        return plain ? std::string() : "a kind is lower-case letters, digits, _ and -";
      })
      ->type_name("KIND");
  CLI::Option* wait =
      command
          ->add_option("--wait", options->wait_s, "How long to wait for the backend (default: 10)")
          ->check(CLI::Range(1U, 3600U))
          ->type_name("SECONDS");
  command
      ->add_flag("--no-wait", options->no_wait,
                 "Write the nodes and leave the rest to a hotplug script")
      ->excludes(wait);
  command->footer(
      "Examples:\n"
      "  splitring attach --domain 1 --vdev xvda --target raw:/srv/root.img\n"
      "  splitring attach --domain 1 --vdev xvdb --target mem:64M\n"
      "  splitring attach --domain 2 --vdev xvda --mode r --target 'raw:/srv/docs.tar?block=4096'");
  runs(*command, session, options, attach);
}

}  // namespace splitring::tools
