// splitring bench: how fast a disk answers.
#include <cstdio>
#include <memory>

#include "base/parse.h"
#include "tools/common/disks.h"
#include "tools/splitring/command.h"
#include "tools/splitring/disk_load.h"
#include "tools/splitring/json_output.h"

namespace splitring::tools {
namespace {

constexpr uint64_t kMaxBlockBytes = 64U << 20;

struct BenchOptions {
  std::string disk;
  std::string work = "randread";
  std::string block = "4k";
  std::string polling = "auto";
  double seconds = 2;
  LoadSpec spec;
  bool destroys_data = false;
  bool json = false;
};

SpinWait::Mode polling_mode(const std::string& name) {
  if (name == "off") return SpinWait::Mode::kOff;
  return name == "on" ? SpinWait::Mode::kOn : SpinWait::Mode::kAuto;
}

// What the figures are, for both forms of output.
struct Figures {
  double iops;
  double megabytes_per_s;
  double p50_us;
  double p99_us;
};

Figures figures_of(const LoadReport& report, const LoadSpec& spec) {
  const double iops = static_cast<double>(report.latency.total()) / report.seconds;
  return {iops, iops * spec.block_bytes / 1e6,
          static_cast<double>(report.latency.percentile(0.50)) / 1e3,
          static_cast<double>(report.latency.percentile(0.99)) / 1e3};
}

void print_line(const BenchOptions& options, const LoadSpec& spec, const LoadReport& report) {
  const Figures figures = figures_of(report, spec);
  std::printf(
      "splitring-bench %s %s qd%u lanes%u poll-%s: %.0f IOPS %.1f MB/s p50 %.2f us p99 %.2f us "
      "client-cpu %.2f us/io",
      options.work.c_str(), options.block.c_str(), spec.depth, spec.lanes, options.polling.c_str(),
      figures.iops, figures.megabytes_per_s, figures.p50_us, figures.p99_us,
      report.client_cpu_us_per_io);
  if (report.server_cpu_us_per_io)
    std::printf(" server-cpu %.2f us/io", *report.server_cpu_us_per_io);
  std::printf("\n");
}

void print_report(const BenchOptions& options, const LoadSpec& spec, const LoadReport& report) {
  const Figures figures = figures_of(report, spec);
  print_json({
      {"disk", options.disk},
      {"work", options.work},
      {"block_bytes", spec.block_bytes},
      {"depth", spec.depth},
      {"lanes", spec.lanes},
      {"polling", options.polling},
      {"seconds", report.seconds},
      {"requests", report.latency.total()},
      {"iops", figures.iops},
      {"mb_per_s", figures.megabytes_per_s},
      {"p50_us", figures.p50_us},
      {"p99_us", figures.p99_us},
      {"client_cpu_us", report.client_cpu_us_per_io},
      {"server_cpu_us", report.server_cpu_us_per_io.value_or(0)},
  });
}

Result<LoadSpec> spec_from(const BenchOptions& options) {
  LoadSpec spec = options.spec;
  const uint64_t block = TRY(parse_size(options.block));
  if (block == 0 || block > kMaxBlockBytes)
    return fail(Errc::kInvalid, "--bs takes up to " + format_bytes(kMaxBlockBytes));
  spec.block_bytes = static_cast<uint32_t>(block);
  spec.write = options.work.ends_with("write");
  spec.random = options.work.starts_with("rand");
  spec.polling = polling_mode(options.polling);
  spec.duration = std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1000));
  return spec;
}

Result<> bench(const Session& session, const BenchOptions& options) {
  const LoadSpec spec = TRY(spec_from(options));
  if (spec.write && !options.destroys_data && !options.disk.starts_with("mem:"))
    return fail(Errc::kPermission, options.work + " overwrites " + options.disk +
                                       " (say --write-destroys-data if that is meant)");
  Disks disks(session.host, 1);
  const auto disk = TRY(disks.open(options.disk, !spec.write));
  const auto report = run_load(*disk, spec);
  if (!report) return fail_within(options.disk, report.error());
  if (options.json)
    print_report(options, spec, *report);
  else
    print_line(options, spec, *report);
  return {};
}

}  // namespace

void add_bench_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<BenchOptions>();
  LoadSpec& spec = options->spec;
  CLI::App* command = program.add_subcommand("bench", "Measure how fast a disk answers");
  command->add_option("disk", options->disk, "The disk")->type_name("DISK")->required();
  command->add_option("--rw", options->work, "What to do (default: randread)")
      ->check(CLI::IsMember({"randread", "randwrite", "read", "write"}))
      ->type_name("WORK");
  command->add_option("--bs", options->block, "Size of a request (default: 4k)")->type_name("SIZE");
  command->add_option("--qd", spec.depth, "Requests in flight on each lane (default: 32)")
      ->check(CLI::Range(1U, 4096U))
      ->type_name("N");
  command->add_option("--lanes", spec.lanes, "Lanes, with a thread each (default: 1)")
      ->check(CLI::Range(1U, 64U))
      ->type_name("N");
  command->add_option("--secs", options->seconds, "How long to measure (default: 2)")
      ->check(CLI::Range(0.01, 3600.0))
      ->type_name("S");
  command->add_option("--poll", options->polling, "Spin before sleeping (default: auto)")
      ->check(CLI::IsMember({"off", "auto", "on"}))
      ->type_name("MODE");
  command->add_option("--pin", spec.cpus, "CPUs for the lanes' threads, in turn")
      ->delimiter(',')
      ->type_name("CPU");
  command
      ->add_option_function<int>(
          "--server-pid", [options](int pid) { options->spec.server_process = pid; },
          "Also meter the CPU time of this process")
      ->check(CLI::PositiveNumber)
      ->type_name("PID");
  command->add_flag("--write-destroys-data", options->destroys_data,
                    "Allow writing to a disk that is not mem:");
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "Examples:\n"
      "  splitring bench raw:/srv/a.img\n"
      "  splitring bench vbd:xvda --rw randread --bs 4k --qd 1 --poll on\n"
      "  splitring bench mem:64M --rw randwrite --lanes 2 --json");
  runs(*command, session, options, bench);
}

}  // namespace splitring::tools
