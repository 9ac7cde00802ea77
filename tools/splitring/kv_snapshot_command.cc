// splitring kv snapshot, diff: states of a store that have a name.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "kv/key.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/kv_session.h"
#include "tools/splitring/kv_text.h"
#include "tools/splitring/time_text.h"

namespace splitring::tools {
namespace {

struct SnapshotOptions {
  KvChoice choice;
  std::string name;
  bool remove = false;
  std::string start_branch;
  bool json = false;
};

Result<> list_snapshots(OpenKv& kv, bool json) {
  nlohmann::json array = nlohmann::json::array();
  for (const kv::SnapshotInfo& info : TRY(kv.session->snapshots())) {
    if (json)
      array.push_back(
          {{"name", bytes_as_json(info.name)}, {"branch", info.branch}, {"time", info.created_s}});
    else
      std::printf("%s  %-16s  %s\n", format_time(info.created_s).c_str(), info.branch.c_str(),
                  escaped(info.name).c_str());
  }
  if (json) print_json(array);
  return flush_output(stdout);
}

Result<> snapshot(const Session& session, const SnapshotOptions& options) {
  const bool only_lists = options.name.empty();
  const auto kv =
      TRY(open_kv(session, options.choice, only_lists ? KvAccess::kRead : KvAccess::kWrite));
  if (only_lists) return list_snapshots(*kv, options.json);
  if (options.remove) return kv->session->remove_snapshot(options.name);
  if (!options.start_branch.empty())
    return kv->session->create_branch(options.start_branch, options.name);
  return kv->session->create_snapshot(options.name);
}

struct DiffOptions {
  KvChoice choice;
  std::string before;
  std::string after;
  bool json = false;
};

const char* sign_of(kv::Session::Difference what) {
  switch (what) {
    case kv::Session::Difference::kAdded: return "+";
    case kv::Session::Difference::kRemoved: return "-";
    case kv::Session::Difference::kChanged: return "!";
  }
  return "?";
}

// The tree as either snapshot has it: two, if one was removed and another made by its name.
Result<std::vector<kv::TreeId>> trees_to_compare(kv::Session& session, const DiffOptions& options) {
  std::vector<kv::TreeId> trees;
  for (const std::string& snapshot : {options.before, options.after}) {
    const auto tree = TRY(session.view_of_snapshot(snapshot)).tree(options.choice.tree);
    if (!tree && tree.error().code != Errc::kNotFound) return tl::make_unexpected(tree.error());
    if (tree && std::ranges::find(trees, *tree) == trees.end()) trees.push_back(*tree);
  }
  if (trees.empty())
    return fail(Errc::kNotFound,
                "no such tree in either snapshot: " + kv::printable_key(options.choice.tree));
  return trees;
}

Result<> diff(const Session& session, const DiffOptions& options) {
  const auto kv = TRY(open_kv(session, options.choice, KvAccess::kRead));
  const auto show = [&](std::string_view key, kv::Session::Difference what) -> Result<bool> {
    const std::string line =
        options.json
            ? nlohmann::json({{"key", bytes_as_json(key)}, {"change", sign_of(what)}}).dump()
            : std::string(sign_of(what)) + " " + escaped(key);
    TRY_VOID(write_output(stdout, line + "\n"));
    return true;
  };
  for (const kv::TreeId tree : TRY(trees_to_compare(*kv->session, options)))
    TRY_VOID(kv->session->diff(options.before, options.after, tree, show));
  return flush_output(stdout);
}

}  // namespace

void add_kv_snapshot_commands(CLI::App& kv, Session& session) {
  auto named = std::make_shared<SnapshotOptions>();
  CLI::App* snapshot_command = kv.add_subcommand(
      "snapshot", "Give the present state a name, instantly; without a name, list them");
  add_store_option(*snapshot_command, named->choice);
  snapshot_command->add_option("name", named->name, "The snapshot")->type_name("NAME");
  auto* const removes = snapshot_command->add_flag("--delete", named->remove, "Remove it");
  snapshot_command
      ->add_option("--start-branch", named->start_branch,
                   "Begin a branch there, that can be written to (--branch)")
      ->type_name("BRANCH")
      ->excludes(removes);
  add_branch_option(*snapshot_command, named->choice);
  snapshot_command->add_flag("--json", named->json, "As JSON");
  runs(*snapshot_command, session, named, snapshot);

  auto compared = std::make_shared<DiffOptions>();
  CLI::App* diff_command = kv.add_subcommand(
      "diff", "Keys that differ between two snapshots: + added, - removed, ! changed");
  add_store_option(*diff_command, compared->choice);
  diff_command->add_option("before", compared->before, "The earlier one")
      ->type_name("SNAPSHOT")
      ->required();
  diff_command->add_option("after", compared->after, "The later one")
      ->type_name("SNAPSHOT")
      ->required();
  add_tree_option(*diff_command, compared->choice);
  diff_command->add_flag("--json", compared->json, "As JSON, one object a line");
  runs(*diff_command, session, compared, diff);
}

}  // namespace splitring::tools
