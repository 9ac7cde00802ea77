// splitringd: serves the disks that a toolstack gives to this domain to share.
#include <poll.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdio>

#include "backend/backend.h"
#include "tools/common/control_path.h"
#include "tools/common/program.h"
#include "tools/common/reach_host.h"
#include "tools/common/stop_signals.h"
#include "tools/splitringd/control_server.h"
#include "tools/splitringd/service_manager.h"

namespace splitring::tools {
namespace {

struct DaemonOptions {
  HostOptions host;
  backend::BackendOptions backend;
  ControlOptions control;
  bool no_persistent = false;
  std::string journal;
};

void add_backend_options(CLI::App& app, DaemonOptions& options) {
  BackendOffer& offer = options.backend.offer;
  app.add_option(
         "--kind", options.backend.kinds,
         "Serve the store's backend/KIND; may be given several times (default: vbd, of which "
         "only what is meant for us, and splitring)")
      ->type_name("KIND");
  app.add_option_function<std::string>(
         "--poll",
         [&options](const std::string& mode) {
           options.backend.polling = mode == "off"  ? SpinWait::Mode::kOff
                                     : mode == "on" ? SpinWait::Mode::kOn
                                                    : SpinWait::Mode::kAuto;
         },
         "Spin before sleeping on a ring (default: auto)")
      ->check(CLI::IsMember({"off", "auto", "on"}))
      ->type_name("MODE");
  app.add_option("--max-queues", offer.max_queues, "Rings that a device may have (default: 4)")
      ->check(CLI::Range(1U, kMaxQueues))
      ->type_name("N");
  app.add_option("--max-ring-page-order", offer.max_ring_page_order,
                 "A ring has at most 2^N pages (default: 4)")
      ->check(CLI::Range(0, std::countr_zero(kMaxRingPages)))
      ->type_name("N");
  app.add_option("--max-indirect-segments", offer.max_indirect_segments,
                 "Pages of an indirect request; 0: none are taken (default: 256)")
      ->check(CLI::Range(0, 512))
      ->type_name("N");
  app.add_flag("--no-persistent", options.no_persistent, "Keep no pages mapped between requests");
  app.add_option_function<std::vector<std::string>>(
         "--allow-root",
         [&options](const std::vector<std::string>& roots) {
           options.backend.allowed_roots.assign(roots.begin(), roots.end());
         },
         "Open files below this folder only; may be given several times (default: anywhere)")
      ->type_name("DIR");
}

void add_daemon_options(CLI::App& app, DaemonOptions& options) {
  app.add_option_function<std::string>(
         "--control", [&options](const std::string& path) { options.control.socket = path; },
         "The control socket (default: beside the host's sockets)")
      ->type_name("PATH");
  app.add_option("--journal", options.journal,
                 "Where what a killed splitringd has not answered is kept for the next one; off: "
                 "nowhere (default: the folder \"rings\" beside the control socket)")
      ->type_name("DIR");
  app.add_option("--metrics", options.control.metrics_address,
                 "Offer the metrics over HTTP here too, 127.0.0.1:9100 say")
      ->type_name("ADDRESS:PORT");
  app.add_option_function<std::string>(
         "--log-level",
         [](const std::string& level) { spdlog::set_level(spdlog::level::from_str(level)); },
         "What to log on standard error (default: info)")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->type_name("LEVEL");
  app.footer(
      "Prints \"splitringd: ready\" once it serves; SIGTERM or Ctrl-C stops it cleanly, and a "
      "later\n"
      "splitringd takes the devices over.\n"
      "Examples:\n"
      "  splitringd\n"
      "  splitringd --host /tmp/host --allow-root /srv/images --metrics 127.0.0.1:9100\n"
      "Exit codes: 0 stopped, 1 failed, 2 wrong usage. Manual page: splitringd(8).");
}

// How often to see whether the store is still there. libxenstore does not tell who waits for events
// that their connection has gone; a daemon without a store serves nobody new and must not look
// well.
constexpr std::chrono::seconds kStoreCheckInterval{2};

Result<> check_store(Store& store, DomId domain) {
  const auto answer = store.domain_path(domain);  // every domain may ask this
  if (!answer) return fail_within("the store has gone", answer.error());
  return {};
}

Result<> serve(backend::Backend& backend, Store& store, DomId domain, const StopSignals& stop) {
  using Clock = std::chrono::steady_clock;
  auto next_check = Clock::now();
  while (!stop.arrived()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_check - Clock::now());
    const int timeout = static_cast<int>(std::max<int64_t>(left.count(), 0));
    std::array<pollfd, 2> pollers{{{backend.fd(), POLLIN, 0}, {stop.fd(), POLLIN, 0}}};
    if (::poll(pollers.data(), pollers.size(), timeout) < 0 && errno != EINTR)
      return fail_errno("waiting for the store", errno);
    if (pollers[0].revents != 0) backend.process();
    if (Clock::now() < next_check) continue;
    TRY_VOID(check_store(store, domain));
    next_check = Clock::now() + kStoreCheckInterval;
  }
  return {};
}

std::filesystem::path journal_directory(const DaemonOptions& options,
                                        const std::filesystem::path& control_socket) {
  if (options.journal == "off") return {};
  if (!options.journal.empty()) return options.journal;
  return control_socket.parent_path() / "rings";
}

Result<> run(const DaemonOptions& options) {
  const StopSignals stop = TRY(StopSignals::install());
  const auto host = TRY(reach_host(options.host));
  ControlOptions control_options = options.control;
  if (control_options.socket.empty())
    control_options.socket = control_path(options.host, host->domain());
  // Before the backend: two daemons for one domain would fight over its devices.
  const auto control = TRY(ControlServer::listen(control_options));
  const auto store = TRY(host->open_store());
  // Each ring opens one of its own; that the kernel has none should not wait for the first guest.
  TRY_VOID(host->open_grant_table());
  const DiskSchemes schemes = DiskSchemes::images();
  backend::BackendOptions backend_options = options.backend;
  backend_options.journal_directory = journal_directory(options, control_options.socket);
  const auto backend = TRY(backend::Backend::start(*host, schemes, backend_options));
  control->serve([&backend] { return backend->report(); });

  std::puts("splitringd: ready");
  std::fflush(stdout);
  TRY_VOID(notify_service_manager("READY=1"));
  auto served = serve(*backend, *store, host->domain(), stop);
  const auto notified = notify_service_manager("STOPPING=1");
  if (!notified) spdlog::warn("{}", notified.error().what);
  control->stop();
  return served;
}

}  // namespace
}  // namespace splitring::tools

int main(int argc, char** argv) {
  using namespace splitring::tools;

  spdlog::set_default_logger(spdlog::stderr_color_mt("splitringd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  DaemonOptions options;
  CLI::App app("Serves disks to Xen guests, from userspace.", "splitringd");
  app.set_version_flag("--version", std::string("splitringd ") + kVersion);
  add_host_options(app, options.host);
  add_backend_options(app, options);
  add_daemon_options(app, options);
  if (const auto exit_code = parse_arguments(app, argc, argv)) return *exit_code;
  options.backend.offer.persistent_grants = !options.no_persistent;
  if (const auto done = run(options); !done) return report_failure("splitringd", done.error());
  return kExitOk;
}
