// kiosk: a tar archive on a disk, served as a web site.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <thread>

#include "fs/tar/tar_file_system.h"
#include "tools/common/disks.h"
#include "tools/common/program.h"
#include "tools/common/stop_signals.h"
#include "tools/kiosk/http_server.h"
#include "tools/kiosk/kiosk_metrics.h"
#include "tools/kiosk/site.h"

namespace {

using namespace splitring;

struct Options {
  std::string disk;
  kiosk::ServerOptions server;
  unsigned timeout_s = 20;
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

// The lane goes before the workers open theirs: a disk may have one only.
Result<std::unique_ptr<TarFileSystem>> open_archive(BlockDevice& disk) {
  const auto lane = TRY(disk.open_queue({}));
  auto tar = TarFileSystem::open(*lane);
  if (!tar) return fail_within(disk.name(), std::move(tar).error());
  return tar;
}

Result<> serve(const Options& options) {
  const tools::StopSignals stop = TRY(tools::StopSignals::install());
  tools::Disks disks(options.host);
  const auto disk = TRY(disks.open(options.disk, /*read_only=*/true));
  const auto tar = TRY(open_archive(*disk));
  report_warnings(*tar);
  kiosk::KioskMetrics metrics;
  const kiosk::Site site(*tar, [&metrics] { return metrics.text(); });
  const auto server = TRY(kiosk::HttpServer::open(*disk, site, metrics, options.server));
  std::printf("kiosk: serving %llu files, %llu bytes of %s at %s\n",
              static_cast<unsigned long long>(tar->file_count()),
              static_cast<unsigned long long>(tar->file_bytes()), disk->name().c_str(),
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
  if (const auto done = serve(options); !done) return tools::report_failure("kiosk", done.error());
  return tools::kExitOk;
}
