// kiosk: a tar archive on a disk, served as a web site.
//
// This file is also the example of a service on Splitring: it opens a disk by its URI, reads an
// archive from it, says which sources answer a request in which order, and runs the server.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <optional>
#include <thread>

#include "tools/common/disks.h"
#include "tools/common/program.h"
#include "tools/common/stop_signals.h"
#include "tools/kiosk/content/store_source.h"
#include "tools/kiosk/content/tar_volume.h"
#include "tools/kiosk/http/server.h"

namespace {

using namespace splitring;

struct Options {
  std::string disk;
  http::ServerOptions server;
  unsigned timeout_s = 20;
  uint64_t cache_bytes = uint64_t{64} << 20;
  std::string access_log;
  std::string certificate;
  std::string key;
  HostOptions host;
};

void add_options(CLI::App& program, Options& options) {
  program.set_version_flag("--version", std::string("kiosk ") + tools::kVersion);
  program.add_option("--disk", options.disk, "The disk with the archive: raw:site.tar, vbd:xvda")
      ->type_name("DISK")
      ->required();
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
  tools::add_host_options(program, options.host);
  program.footer(
      "Examples:\n"
      "  kiosk --disk raw:site.tar\n"
      "  kiosk --disk vbd:xvda --listen 0.0.0.0:80 --threads 2\n"
      "Ends on SIGINT and SIGTERM. Manual page: kiosk(1).");
}

void report_warnings(const TarFileSystem& tar) {
  for (const std::string& warning : tar.warnings()) spdlog::warn("{}", warning);
  if (tar.warning_count() > tar.warnings().size())
    spdlog::warn("and {} more like these", tar.warning_count() - tar.warnings().size());
}

Result<> serve(Options options) {
  const tools::StopSignals stop = TRY(tools::StopSignals::install());

  // The content: an archive on a disk, wherever that is.
  tools::Disks disks(options.host);
  const auto volume =
      TRY(kiosk::TarVolume::open(TRY(disks.open(options.disk, /*read_only=*/true))));
  report_warnings(volume->tar());
  const kiosk::VolumeSlot slot(volume);

  // The pages that are made for each request.
  http::Metrics metrics;
  http::Pages pages;
  pages.add("/metrics", [&metrics](const http::Request&) {
    return http::fresh_page("text/plain; version=0.0.4; charset=utf-8", metrics.text());
  });

  // Who answers, in this order. Each thread has sources of its own.
  const auto sources = [&](http::Loop& loop, http::WorkerMetrics& counters) {
    std::vector<std::unique_ptr<http::Source>> made;
    made.push_back(std::make_unique<kiosk::StoreSource>(
        slot,
        kiosk::StoreSourceOptions{.cache_bytes = options.cache_bytes / options.server.threads},
        loop, counters));
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
  std::printf("kiosk: serving %llu files, %llu bytes of %s at %s\n",
              static_cast<unsigned long long>(volume->tar().file_count()),
              static_cast<unsigned long long>(volume->tar().file_bytes()), volume->name().c_str(),
              server->url().c_str());
  std::fflush(stdout);
  server->run(stop.fd());
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
  if (const auto done = serve(std::move(options)); !done)
    return tools::report_failure("kiosk", done.error());
  return tools::kExitOk;
}
