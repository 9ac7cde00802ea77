// splitring fat attr: the marks of files and directories, shown and changed.
#include <array>
#include <cstdio>

#include "tools/splitring/fat_marks.h"
#include "tools/splitring/fat_session.h"

namespace splitring::tools {
namespace {

struct AttrOptions {
  std::string disk;
  std::vector<std::string> words;  // paths, and marks to set
  std::array<bool, 4> taken = {};  // of kLetters
  bool recursive = false;
  std::vector<std::string> paths;
  FatMarkChange change;
  bool changes = false;
};
constexpr std::array<char, 4> kLetters{'a', 'r', 'h', 's'};

// What the command line says, once all of it is there.
void sort_out(AttrOptions& options) {
  std::vector<std::string> marks;
  for (const std::string& word : options.words)
    (is_fat_marks(word) ? marks : options.paths).push_back(word);
  for (size_t i = 0; i < kLetters.size(); i++)
    if (options.taken[i]) marks.push_back(std::string("-") + kLetters[i]);
  const auto change = parse_fat_marks(marks);
  if (!change) throw CLI::ValidationError("marks", change.error().what);
  if (options.paths.empty()) throw CLI::RequiredError("path");
  options.change = *change;
  options.changes = !marks.empty();
}

Result<> show(const Session& session, const AttrOptions& options) {
  const auto fat = TRY(open_fat(session, options.disk, true));
  FatUser user(*fat->volume, *fat->lane);
  for (const std::string& path : options.paths) {
    const std::string whole = fat_path(path);
    const FatStat top = TRY(user.stat(whole));
    std::puts(fat_listing(whole.empty() ? "/" : whole, top).c_str());
    if (!options.recursive || !top.is_directory) continue;
    TRY_VOID(user.list(whole, true, [](const std::string& below, const FatEntry& entry) {
      std::puts(fat_listing(below, entry.stat).c_str());
    }));
  }
  return {};
}

Result<> attr(const Session& session, const AttrOptions& options) {
  if (!options.changes) return show(session, options);
  return change_fat(session, options.disk, {}, [&](FatUser& user) -> Result<> {
    for (const std::string& path : options.paths)
      TRY_VOID(user.change_marks(path, options.change, options.recursive));
    return {};
  });
}

}  // namespace

void add_fat_attr_command(CLI::App& fat, Session& session) {
  auto options = std::make_shared<AttrOptions>();
  CLI::App* command = fat.add_subcommand(
      "attr", "Show marks, or change them: +h sets one, -h takes it away (a, r, h, s)");
  // Here -h is a mark like the others.
  command->set_help_flag("--help", "Print this help message and exit");
  add_fat_disk(*command, options->disk);
  command->add_option("path", options->words, "Files and directories; +a, +r, +h, +s set marks")
      ->type_name("PATH|+MARKS")
      ->required();
  constexpr std::array<const char*, 4> kNames{"to be archived", "read-only", "hidden", "system"};
  for (size_t i = 0; i < kLetters.size(); i++)
    command->add_flag(std::string("-") + kLetters[i], options->taken[i],
                      std::string("No longer ") + kNames[i]);
  command->add_flag("--recursive", options->recursive, "With all that lies below");
  command->parse_complete_callback([options] { sort_out(*options); });
  runs(*command, session, options, attr);
}

}  // namespace splitring::tools
