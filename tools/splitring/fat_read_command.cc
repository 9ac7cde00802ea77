// splitring fat ls, cat, get: what lies on the volume.
#include <cstdio>

#include "base/parse.h"
#include "tools/splitring/fat_session.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/progress_bar.h"

namespace splitring::tools {
namespace {

struct ReadOptions {
  std::string disk;
  std::string path;
  std::string target = ".";
  bool recursive = false;
  bool overwrite = false;
  bool json = false;
};

nlohmann::json to_json(const std::string& path, const FatEntry& entry) {
  const FatStat& stat = entry.stat;
  return {{"path", path},
          {"short_name", entry.short_name},
          {"kind", stat.is_directory ? "directory" : "file"},
          {"size", stat.size},
          {"mtime", stat.modified.s},
          {"read_only", stat.flags.read_only},
          {"hidden", stat.flags.hidden},
          {"system", stat.flags.system},
          {"archive", stat.flags.archive}};
}

Result<> list(const Session& session, const ReadOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, true));
  FatUser user(*fat->volume, *fat->lane);
  nlohmann::json array = nlohmann::json::array();
  TRY_VOID(user.list(options.path, options.recursive,
                     [&](const std::string& path, const FatEntry& entry) {
                       if (options.json)
                         array.push_back(to_json(path, entry));
                       else
                         std::puts(fat_listing(path, entry.stat).c_str());
                     }));
  if (options.json) print_json(array);
  return {};
}

Result<> cat(const Session& session, const ReadOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, true));
  FatUser user(*fat->volume, *fat->lane);
  TRY_VOID(user.read(options.path, [](std::span<const std::byte> bytes) -> Result<> {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
      return fail_errno("writing to standard output", errno);
    return {};
  }));
  if (std::fflush(stdout) != 0) return fail_errno("writing to standard output", errno);
  return {};
}

Result<> get(const Session& session, const ReadOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, true));
  ProgressBar bar(!options.json);
  uint64_t total = 0;
  uint64_t done = 0;
  FatUser user(*fat->volume, *fat->lane, [&](uint64_t bytes) { bar.show(done += bytes, total); });
  if (bar.enabled()) total = TRY(user.bytes_below(options.path));
  TRY_VOID(user.copy_out(options.path, options.target, options.overwrite));
  bar.clear();
  const FatUser::Tally& tally = user.tally();
  if (options.json)
    print_json(
        {{"files", tally.files}, {"directories", tally.directories}, {"bytes", tally.bytes}});
  else
    std::printf("copied %llu files, %s\n", static_cast<unsigned long long>(tally.files),
                format_bytes(tally.bytes).c_str());
  return {};
}

}  // namespace

void add_fat_read_commands(CLI::App& fat, Session& session) {
  auto listed = std::make_shared<ReadOptions>();
  CLI::App* ls = fat.add_subcommand("ls", "Show a directory, or a file's entry");
  add_fat_disk(*ls, listed->disk);
  ls->add_option("path", listed->path, "Directory or file (default: the root)")->type_name("PATH");
  ls->add_flag("-r,--recursive", listed->recursive, "With all that lies below");
  ls->add_flag("--json", listed->json, "As JSON");
  runs(*ls, session, listed, list);

  auto shown = std::make_shared<ReadOptions>();
  CLI::App* cat_command = fat.add_subcommand("cat", "Write a file to standard output");
  add_fat_disk(*cat_command, shown->disk);
  cat_command->add_option("path", shown->path, "The file")->type_name("PATH")->required();
  runs(*cat_command, session, shown, cat);

  auto got = std::make_shared<ReadOptions>();
  CLI::App* get_command =
      fat.add_subcommand("get", "Copy a file or directory of the volume to the host");
  add_fat_disk(*get_command, got->disk);
  get_command->add_option("path", got->path, "File or directory of the volume")
      ->type_name("PATH")
      ->required();
  get_command->add_option("target", got->target, "Where to (default: the working directory)")
      ->type_name("TARGET");
  get_command->add_flag("--overwrite", got->overwrite, "Over files that exist");
  get_command->add_flag("--json", got->json, "As JSON, without a progress bar");
  runs(*get_command, session, got, get);
}

}  // namespace splitring::tools
