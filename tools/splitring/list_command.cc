// splitring list: every disk of the host, from the store, with the daemons' counters if asked for.
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/common/control_client.h"
#include "tools/common/control_path.h"
#include "tools/common/reach_host.h"
#include "tools/common/toolstack.h"
#include "tools/splitring/command.h"
#include "tools/splitring/json_output.h"

namespace splitring::tools {
namespace {

using Json = nlohmann::json;

struct ListOptions {
  bool verbose = false;
  bool json = false;
};

// What each backend domain's daemon says of its devices, by backend directory.
std::map<std::string, Json> collect_counters(const Session& session,
                                             const std::vector<ListedDisk>& disks) {
  std::map<std::string, Json> counters;
  std::map<DomId, bool> asked;
  for (const ListedDisk& disk : disks) {
    if (!asked.emplace(disk.path.backend, true).second) continue;
    const auto answer = fetch_devices(control_path(session.host, disk.path.backend));
    if (!answer) {
      std::fprintf(stderr, "splitring: list: no counters of domain %u: %s\n",
                   raw(disk.path.backend), printable(answer.error().what).c_str());
      continue;
    }
    for (const Json& device : *answer)
      if (device.is_object() && device.contains("backend_directory") &&
          device["backend_directory"].is_string())
        counters[device["backend_directory"]] = device;
  }
  return counters;
}

Json to_json(const ListedDisk& disk) {
  return {
      {"domain", raw(disk.path.frontend)},
      {"vdev", disk.vdev},
      {"device", disk.path.device},
      {"backend", raw(disk.path.backend)},
      {"kind", disk.path.kind},
      {"mode", disk.read_only ? "r" : "w"},
      {"online", disk.online},
      {"backend_state", to_string(disk.backend_state)},
      {"frontend_state", to_string(disk.frontend_state)},
      {"target", disk.target},
      {"error", disk.error},
  };
}

// "3 read, 1 write": those that are not 0.
std::string by_kind(const Json& counts) {
  std::string text;
  for (const auto& [kind, count] : counts.items())
    if (count.get<uint64_t>() != 0) text += (text.empty() ? "" : ", ") + count.dump() + " " + kind;
  return text.empty() ? "none" : printable(text);
}

// What the daemon has to say that is not in the store: what it waits for.
void print_difficulty(const ListedDisk& disk, const Json& device) {
  const auto error = device.find("error");
  if (error == device.end() || !error->is_string()) return;
  const auto text = error->get<std::string>();
  if (!text.empty() && text != disk.error)
    std::printf("        daemon: %s\n", printable(text).c_str());
}

// What a daemon of another version says may lack something: the library tells by throwing.
void print_counters(const Json& device) try {
  const Json& counters = device.at("counters");
  std::printf("        requests: %s; errors: %s; refused: %s\n",
              by_kind(counters.at("requests")).c_str(), by_kind(counters.at("io_errors")).c_str(),
              by_kind(counters.at("refusals")).c_str());
  std::printf("        queues: %s; ring pages: %s; in flight: %s\n",
              device.at("queues").dump().c_str(), device.at("ring_pages").dump().c_str(),
              device.at("in_flight").dump().c_str());
} catch (const Json::exception&) {
  std::printf("        its daemon's counters are of a form unknown here\n");
}

void print_table(const std::vector<ListedDisk>& disks,
                 const std::map<std::string, Json>& counters) {
  std::printf("%-7s %-6s %-4s %-13s %-13s %-7s %s\n", "DOMAIN", "VDEV", "MODE", "BACKEND",
              "FRONTEND", "SERVER", "TARGET");
  for (const ListedDisk& disk : disks) {
    std::printf("%-7u %-6s %-4s %-13s %-13s %-7u %s\n", raw(disk.path.frontend),
                printable(disk.vdev).c_str(), disk.read_only ? "r" : "w",
                to_string(disk.backend_state), to_string(disk.frontend_state),
                raw(disk.path.backend), printable(disk.target).c_str());
    if (!disk.error.empty()) std::printf("        error: %s\n", printable(disk.error).c_str());
    const auto found = counters.find(disk.path.backend_directory());
    if (found == counters.end()) continue;
    print_difficulty(disk, found->second);
    print_counters(found->second);
  }
}

Result<> list(const Session& session, const ListOptions& options) {
  const auto host = TRY(reach_toolstack_host(session.host));
  const auto store = TRY(host->open_store());
  const auto disks = list_disks(store->now(), host->domain());
  if (!disks)
    return fail_within("reading the store as domain " + std::to_string(raw(host->domain())),
                       disks.error());
  std::map<std::string, Json> counters;
  if (options.verbose) counters = collect_counters(session, *disks);
  if (!options.json) {
    print_table(*disks, counters);
    return {};
  }
  Json array = Json::array();
  for (const ListedDisk& disk : *disks) {
    Json object = to_json(disk);
    const auto found = counters.find(disk.path.backend_directory());
    if (found != counters.end()) object["serving"] = found->second;
    array.push_back(std::move(object));
  }
  print_json(array);
  return {};
}

}  // namespace

void add_list_command(CLI::App& program, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      program.add_subcommand("list", "Show every disk of the host, or of this driver domain");
  command->add_flag("-v,--verbose", options->verbose, "With the counters of the daemons");
  command->add_flag("--json", options->json, "As JSON");
  command->footer(
      "Examples:\n"
      "  splitring list\n"
      "  splitring list -v\n"
      "  splitring list --json | jq '.[] | select(.domain == 1)'");
  runs(*command, session, options, list);
}

}  // namespace splitring::tools
