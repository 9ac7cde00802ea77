// splitring info: what a disk is.
#include <cstdio>
#include <memory>

#include "base/parse.h"
#include "tools/common/disks.h"
#include "tools/splitring/command.h"
#include "tools/splitring/json_output.h"

namespace splitring::tools {
namespace {

struct InfoOptions {
  std::string disk;
  bool json = false;
};

void print_table(const std::string& name, const Geometry& geometry) {
  const uint64_t bytes = geometry.capacity.bytes();
  const std::string discard =
      geometry.discard_granularity_bytes == 0
          ? "no"
          : "in units of " + format_bytes(geometry.discard_granularity_bytes);
  std::printf("disk             %s\n", printable(name).c_str());
  std::printf("size             %s (%llu bytes)\n", format_bytes(bytes).c_str(),
              static_cast<unsigned long long>(bytes));
  std::printf("block            %u bytes, %u physical\n", geometry.logical_block_bytes,
              geometry.physical_block_bytes);
  std::printf("flush            %s\n", geometry.needs_flush ? "needed" : "not needed");
  std::printf("discard          %s\n", discard.c_str());
  std::printf("largest request  %s\n", format_bytes(geometry.largest_request_bytes).c_str());
}

Result<> info(const Session& session, const InfoOptions& options) {
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, true));
  const Geometry geometry = disk->geometry();
  if (!options.json) {
    print_table(disk->name(), geometry);
    return {};
  }
  print_json({
      {"name", disk->name()},
      {"bytes", geometry.capacity.bytes()},
      {"sectors", geometry.capacity.count},
      {"logical_block_bytes", geometry.logical_block_bytes},
      {"physical_block_bytes", geometry.physical_block_bytes},
      {"needs_flush", geometry.needs_flush},
      {"discard_granularity_bytes", geometry.discard_granularity_bytes},
      {"largest_request_bytes", geometry.largest_request_bytes},
  });
  return {};
}

}  // namespace

void add_info_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command = program.add_subcommand("info", "Show what a disk is");
  command->add_option("disk", options->disk, "The disk")->type_name("DISK")->required();
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "Examples:\n"
      "  splitring info raw:/srv/root.img\n"
      "  SPLITRING_DOMAIN=1 splitring info vbd:xvda --json");
  runs(*command, session, options, info);
}

}  // namespace splitring::tools
