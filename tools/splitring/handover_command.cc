// splitring handover: what the hotplug script block-splitring does once xen-blkback has let go.
#include <chrono>
#include <memory>

#include "tools/common/reach_host.h"
#include "tools/common/state_wait.h"
#include "tools/splitring/command.h"
#include "xenbus/nodes.h"

namespace splitring::tools {
namespace {

// libxl gives a hotplug script 40 s (LIBXL_HOTPLUG_TIMEOUT), and it has more to do than this.
constexpr uint32_t kDefaultWaitSeconds = 15;

struct HandoverOptions {
  std::string device;  // as XENBUS_PATH: relative to this domain's directory, or absolute
  uint32_t wait_s = kDefaultWaitSeconds;
};

Result<std::string> absolute_path(Store& store, DomId domain, const std::string& path) {
  return path.starts_with('/') ? path : TRY(store.domain_path(domain)) + "/" + path;
}

Result<> wait_for_answer(Store& store, const std::string& directory, uint32_t wait_s) {
  StoreView& view = store.now();
  const auto look = [&]() -> Result<bool> {
    if (TRY(read_optional(view, directory + "/" + kHandoverNode))) return false;
    const auto error = TRY(read_optional(view, directory + "/" + kErrorNode));
    if (error && !error->empty()) return fail(Errc::kIo, printable(*error));
    return true;
  };
  auto waited = wait_for(store, directory, std::chrono::seconds(wait_s), look);
  if (waited || waited.error().code != Errc::kTimeout) return waited;
  (void)view.remove(directory + "/" + kHandoverNode);
  // Nobody would answer the toolstack's wish to remove the device either.
  (void)write_state(view, directory, XenbusState::kClosed);
  return fail(Errc::kTimeout, "splitringd did not take the disk within " + std::to_string(wait_s) +
                                  " s: is it running? (systemctl start splitringd)");
}

Result<> hand_over(const Session& session, const HandoverOptions& options) {
  const auto host = TRY(reach_host(session.host));
  const auto store = TRY(host->open_store());
  const std::string directory = TRY(absolute_path(*store, host->domain(), options.device));
  if (!TRY(read_optional(store->now(), directory + "/frontend")))
    return fail(Errc::kNotFound, directory + " is no device of this domain's store");
  TRY_VOID(store->now().write(directory + "/" + kHandoverNode, "1"));
  return wait_for_answer(*store, directory, options.wait_s);
}

}  // namespace

void add_handover_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<HandoverOptions>();
  CLI::App* command = program.add_subcommand(
      "handover", "Ask splitringd to take over a device of backend/vbd (for block-splitring)");
  command->add_option("device", options->device, "Its directory: backend/vbd/1/51712")
      ->type_name("XENBUS_PATH")
      ->required();
  command->add_option("--wait", options->wait_s, "How long to wait for the answer (default: 15)")
      ->check(CLI::Range(1U, 3600U))
      ->type_name("SECONDS");
  command->footer(
      "Examples:\n"
      "  splitring handover backend/vbd/1/51712");
  runs(*command, session, options, hand_over);
}

}  // namespace splitring::tools
