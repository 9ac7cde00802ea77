// kiosk: a tar archive on a disk, served as a web site.
//
// This file is also the example of a service on Splitring: it opens a disk by its URI, reads an
// archive from it, says which sources answer a request in which order, and runs the server.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>

#include "tools/common/disks.h"
#include "tools/common/named_devices.h"
#include "tools/common/program.h"
#include "tools/common/stop_signals.h"
#include "tools/kiosk/content/compiled_volume.h"
#include "tools/kiosk/content/kv_source.h"
#include "tools/kiosk/content/plugged_content.h"
#include "tools/kiosk/content/store_source.h"
#include "tools/kiosk/http/server.h"
#include "tools/kiosk/observe/host_guard.h"
#include "tools/kiosk/observe/live_pages.h"
#include "tools/kiosk/observe/look.h"

// Made by `splitring crunch` from tools/kiosk/builtin (Makefile).
extern "C" const unsigned char kiosk_builtin[];

namespace {

using namespace splitring;

struct Options {
  std::string disk;
  std::string devices;
  std::optional<std::filesystem::path> backend_control;
  http::ServerOptions server;
  unsigned timeout_s = 20;
  uint64_t cache_bytes = uint64_t{64} << 20;
  std::string access_log;
  std::string certificate;
  std::string key;
  std::vector<std::string> names;
  std::vector<std::string> stores;  // ROUTE=DISK
  uint64_t most_put_bytes = uint64_t{64} << 20;
  bool stores_read_only = false;
  HostOptions host;
};

void add_options(CLI::App& program, Options& options) {
  program.set_version_flag("--version", std::string("kiosk ") + tools::kVersion);
  auto* const disks = program.add_option_group("disks")->require_option(1);
  disks->add_option("--disk", options.disk, "The disk with the archive: raw:site.tar, vbd:xvda")
      ->type_name("DISK");
  disks
      ->add_option("--devices", options.devices,
                   "TOML that names disks; the one called content has the archive")
      ->type_name("FILE");
  program
      .add_option("--backend-control", options.backend_control,
                  "Control socket of the backend's daemon, for its figures on /_live")
      ->type_name("SOCKET");
  program.add_option("--listen", options.server.listen, "Where to serve; port 0 takes a free one")
      ->type_name("ADDRESS:PORT")
      ->capture_default_str();
  program.add_option("--threads", options.server.threads, "Threads, each with a lane of the disk")
      ->type_name("N")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  program
      .add_option("--connections", options.server.connections,
                  "Connections open at a time; more are turned away")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  program
      .add_option("--timeout", options.timeout_s,
                  "How long a client may take for a request, or for a part of the answer")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  program
      .add_option("--cache", options.cache_bytes,
                  "Memory for answers that are kept, of all threads together; 0 keeps none")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  program
      .add_option("--access-log", options.access_log,
                  "Append a line for every answer, in the common log format; - for the output")
      ->type_name("FILE");
  auto* const certificate =
      program.add_option("--certificate", options.certificate, "Serve HTTPS with this chain (PEM)")
          ->type_name("FILE");
  auto* const key =
      program.add_option("--key", options.key, "The certificate's key (PEM)")->type_name("FILE");
  certificate->needs(key);
  key->needs(certificate);
  program
      .add_option("--name", options.names,
                  "A name that this service has: /_live and /api answer to it; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  program
      .add_option("--store", options.stores,
                  "Serve the key-value store on a disk below a path, for reading and writing")
      ->type_name("PATH=DISK");
  program.add_flag("--store-read-only", options.stores_read_only, "Stores are only read");
  program
      .add_option("--store-limit", options.most_put_bytes, "Longest value that is taken (64 MiB)")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  tools::add_host_options(program, options.host);
  program.footer(
      "Examples:\n"
      "  kiosk --disk raw:site.tar\n"
      "  kiosk --disk vbd:xvda --listen 0.0.0.0:80 --threads 2\n"
      "  kiosk --devices devices.toml\n"
      "  kiosk --disk raw:site.tar --store /data/=raw:data.img\n"
      "SIGHUP: reload. Ends on SIGINT and SIGTERM. Manual page: kiosk(1).");
}

constexpr const char* kContent = "content";

Result<std::vector<tools::NamedDisk>> disks_of(const Options& options) {
  if (options.devices.empty())
    return std::vector<tools::NamedDisk>{{.name = kContent,
                                          .uri = options.disk,
                                          .read_only = true,
                                          .place = "--disk",
                                          .lanes = options.server.threads}};
  auto disks = TRY(tools::read_device_config(options.devices));
  for (tools::NamedDisk& disk : disks) {
    if (disk.name != kContent) continue;
    disk.read_only = true;
    disk.lanes = options.server.threads;
    return disks;
  }
  return fail(Errc::kInvalid, options.devices + ": no device is called content");
}

// A disk named on the command line is there from the start, or there is nothing to do.
Result<> expect_content(const kiosk::PluggedContent& content, const tools::NamedDevices& devices) {
  if (content.volume()) return {};
  if (const auto problem = content.problem()) return tl::unexpected<Error>(*problem);
  const auto status = devices.status().front();
  if (!status.error.empty()) return fail(Errc::kNotFound, status.error);
  return fail(Errc::kNotFound, status.uri + ": there is no such disk yet; --devices waits for one");
}

// Each thread needs a lane of its own; a virtual disk has as many as its backend allows.
unsigned threads_for(unsigned wanted, const tools::NamedDevices& devices) {
  for (const auto& status : devices.status())
    if (status.name == kContent && status.ring) wanted = std::min(wanted, status.ring->lanes);
  return std::max(1U, wanted);
}

// The stores of --store.
struct StoreOption {
  std::string text;
  std::string route;
  std::string disk;
};

Result<std::vector<StoreOption>> store_options(const Options& options) {
  std::vector<StoreOption> stores;
  for (const std::string& text : options.stores) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      return fail(Errc::kInvalid, text + ": a store is given as PATH=DISK, /data/=raw:data.img");
    stores.push_back({text, text.substr(0, equals), text.substr(equals + 1)});
  }
  return stores;
}

Result<std::vector<std::unique_ptr<kiosk::KvMount>>> open_stores(
    const Options& options, const std::vector<StoreOption>& given, tools::Disks& disks) {
  std::vector<std::unique_ptr<kiosk::KvMount>> stores;
  for (const StoreOption& option : given) {
    auto disk = TRY(disks.open_for_threads(option.disk, options.stores_read_only,
                                           kiosk::KvMount::most_lanes(options.server.threads)));
    auto store = kiosk::KvMount::open(std::move(disk), {.route = option.route,
                                                        .readers = options.server.threads,
                                                        .read_only = options.stores_read_only,
                                                        .most_bytes = options.most_put_bytes,
                                                        .names = options.names});
    if (!store) return fail_within("--store " + option.text, store.error());
    stores.push_back(std::move(*store));
  }
  return stores;
}

void announce(const kiosk::PluggedContent& content, const std::string& url) {
  if (const auto volume = content.volume())
    std::printf("kiosk: serving %llu files, %llu bytes of %s at %s\n",
                static_cast<unsigned long long>(volume->tar().file_count()),
                static_cast<unsigned long long>(volume->tar().file_bytes()), volume->name().c_str(),
                url.c_str());
  else
    std::printf("kiosk: serving nothing until content is attached, at %s\n", url.c_str());
  std::fflush(stdout);
}

void warn_of(const Result<>& done) {
  if (!done) spdlog::warn("reload: {}", done.error().what);
}

Result<> serve(Options options) {
  const tools::StopSignals stop = TRY(tools::StopSignals::install());
  const tools::ReloadSignal reload = TRY(tools::ReloadSignal::install());

  const auto store_choices = TRY(store_options(options));
  const auto virtual_stores = static_cast<unsigned>(std::ranges::count_if(
      store_choices, [](const StoreOption& store) { return tools::is_virtual_disk(store.disk); }));

  // The content: an archive on the disk of that name, whenever it is there.
  kiosk::PluggedContent content;
  const kiosk::VolumeSlot builtin(TRY(kiosk::CompiledVolume::open("built-in", kiosk_builtin)));
  const auto devices = TRY(tools::NamedDevices::start(
      TRY(disks_of(options)), options.host,
      {.plugged =
           [&](const std::string& name, const std::shared_ptr<BlockDevice>& disk) {
             if (name != kContent) return;
             content.plugged(disk);
             // Of a disk on the command line main() says it.
             if (const auto problem = content.problem(); problem && !options.devices.empty())
               spdlog::warn("no content: {}", problem->what);
           },
       .unplugged =
           [&](const std::string& name) {
             if (name == kContent) content.unplugged();
           }},
      virtual_stores));
  if (options.devices.empty()) TRY_VOID(expect_content(content, *devices));
  options.server.threads = threads_for(options.server.threads, *devices);

  tools::Disks store_disks(options.host, devices->virtual_disks());
  const auto stores = TRY(open_stores(options, store_choices, store_disks));

  // The pages that are made for each request.
  http::Metrics metrics;
  http::Pages pages;
  pages.add("/metrics", [&metrics](const http::Request&) {
    return http::fresh_page("text/plain; version=0.0.4; charset=utf-8", metrics.text());
  });
  kiosk::LiveFeed feed(kiosk::make_look(*devices, metrics, options.backend_control),
                       kiosk::latency_bounds_us());
  kiosk::add_live_pages(
      pages, {.feed = feed, .devices = *devices, .store = [&content] { return content.names(); }});
  const kiosk::TemplateSource::Context context = [&](std::string_view path) {
    return kiosk::TemplateContext{.path = std::string(path),
                                  .service = kiosk::service_figures(metrics),
                                  .devices = devices->status()};
  };

  // Who answers, in this order. Each thread has sources of its own.
  const auto sources = [&](http::Loop& loop, http::WorkerMetrics& counters) {
    std::vector<std::unique_ptr<http::Source>> made;
    const kiosk::StoreSourceOptions kept{.cache_bytes =
                                             options.cache_bytes / options.server.threads};
    for (const auto& store : stores)
      made.push_back(std::make_unique<kiosk::KvSource>(*store, counters));
    made.push_back(std::make_unique<kiosk::TemplateSource>(content, context));
    made.push_back(std::make_unique<kiosk::StoreSource>(content.slot(), kept, loop, counters));
    made.push_back(std::make_unique<kiosk::StoreSource>(builtin, kept, loop, counters));
    made.push_back(std::make_unique<kiosk::HostGuard>(options.names));
    made.push_back(pages.source());
    return made;
  };

  std::optional<http::TlsContext> tls;
  if (!options.certificate.empty())
    options.server.tls =
        &tls.emplace(TRY(http::TlsContext::load(options.certificate, options.key)));
  std::optional<http::AccessLog> log;
  if (!options.access_log.empty())
    options.server.access_log = &log.emplace(TRY(http::AccessLog::open(options.access_log)));
  const auto server = TRY(http::Server::open(options.server, sources, metrics));
  feed.start();
  announce(content, server->url());
  server->run(stop.fd(), reload.fd(), [&] {
    reload.clear();
    if (log) warn_of(log->reopen());
    auto disks = disks_of(options);
    if (!disks) return warn_of(tl::unexpected<Error>(disks.error()));
    devices->reload(std::move(*disks));
  });
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.server.threads = std::max(1U, std::thread::hardware_concurrency());
  CLI::App program("Serves the tar archive on a disk as a web site.", "kiosk");
  add_options(program, options);
  if (const auto exit_code = tools::parse_arguments(program, argc, argv)) return *exit_code;
  options.server.timeout = std::chrono::seconds(options.timeout_s);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("kiosk"));
  // That the one disk of the command line is there needs no saying.
  if (options.devices.empty()) spdlog::set_level(spdlog::level::warn);
  if (const auto done = serve(std::move(options)); !done)
    return tools::report_failure("kiosk", done.error());
  return tools::kExitOk;
}
