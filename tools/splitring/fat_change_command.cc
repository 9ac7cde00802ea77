// splitring fat add, put, mkdir, rm, mv, cp, touch: changes of what lies on the volume.
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>

#include "base/parse.h"
#include "tools/splitring/fat_session.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/progress_bar.h"

namespace splitring::tools {
namespace {

struct ChangeOptions {
  std::string disk;
  std::vector<std::string> paths;
  std::string from;
  std::string to;
  std::string directory = ".";
  bool flag = false;  // -p of mkdir, -r of rm
  bool json = false;
};

uint64_t bytes_below(const std::filesystem::path& path) {
  namespace stdfs = std::filesystem;
  std::error_code error;
  if (!stdfs::is_directory(path, error)) {
    const auto size = stdfs::file_size(path, error);
    return error ? 0 : size;
  }
  uint64_t bytes = 0;
  for (auto it = stdfs::recursive_directory_iterator(path, error);
       !error && it != stdfs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && !it->is_symlink(ignored)) bytes += it->file_size(ignored);
  }
  return bytes;
}

Result<> add(const Session& session, const ChangeOptions& options) {
  ProgressBar bar(!options.json);
  std::vector<std::string> sources;
  uint64_t total = 0;
  for (const std::string& path : options.paths) {
    sources.push_back((std::filesystem::path(options.directory) / path).string());
    if (bar.enabled()) total += bytes_below(sources.back());
  }
  uint64_t done = 0;
  FatUser::Tally tally;
  const auto outcome = change_fat(
      session, options.disk, [&](uint64_t bytes) { bar.show(done += bytes, total); },
      [&](FatUser& user) -> Result<> {
        if (!options.to.empty()) TRY_VOID(user.make_directory(options.to, true));
        for (const std::string& source : sources) TRY_VOID(user.copy_in(source, options.to));
        tally = user.tally();
        return {};
      });
  bar.clear();
  TRY_VOID(outcome);
  for (const std::string& path : tally.left_out)
    std::fprintf(stderr, "splitring: fat: left out %s: no file and no directory\n",
                 printable(path).c_str());
  if (options.json)
    print_json({{"files", tally.files},
                {"directories", tally.directories},
                {"bytes", tally.bytes},
                {"left_out", tally.left_out.size()}});
  else
    std::printf("added %llu %s, %s\n", static_cast<unsigned long long>(tally.files),
                tally.files == 1 ? "file" : "files", format_bytes(tally.bytes).c_str());
  return {};
}

// Of what takes long, how far it has come. `total`: of the bytes that will be moved.
Result<> change_with_bar(const Session& session, const ChangeOptions& options,
                         const std::function<Result<uint64_t>(FatUser&)>& total,
                         const std::function<Result<>(FatUser&)>& work) {
  ProgressBar bar(true);
  uint64_t all = 0;
  uint64_t done = 0;
  return change_fat(
      session, options.disk, [&](uint64_t bytes) { bar.show(done += bytes, all); },
      [&](FatUser& user) -> Result<> {
        if (bar.enabled()) all = TRY(total(user));
        auto outcome = work(user);
        bar.clear();
        return outcome;
      });
}

Result<> put_standard_input(FatUser& user, const std::string& path) {
  const auto source = [](std::span<std::byte> out) -> Result<size_t> {
    const size_t count = std::fread(out.data(), 1, out.size(), stdin);
    if (count == 0 && std::ferror(stdin) != 0) return fail_errno("reading standard input", errno);
    return count;
  };
  return user.write(path, source, {});
}

Result<> put(const Session& session, const ChangeOptions& options) {
  const bool is_standard_input = options.from == "-";
  if (is_standard_input && fat_path(options.to).empty())
    return fail(Errc::kInvalid, "standard input has no name: say what to call it");
  return change_with_bar(
      session, options,
      [&](FatUser&) -> Result<uint64_t> {
        return is_standard_input ? 0 : bytes_below(options.from);
      },
      [&](FatUser& user) {
        return is_standard_input ? put_standard_input(user, options.to)
                                 : user.copy_in(options.from, options.to);
      });
}

Result<> on_each(const Session& session, const ChangeOptions& options,
                 const std::function<Result<>(FatUser&, const std::string&)>& work) {
  return change_fat(session, options.disk, {}, [&](FatUser& user) -> Result<> {
    for (const std::string& path : options.paths) TRY_VOID(work(user, path));
    return {};
  });
}

Result<> mkdir(const Session& session, const ChangeOptions& options) {
  return on_each(session, options, [&](FatUser& user, const std::string& path) {
    return user.make_directory(path, options.flag);
  });
}

Result<> rm(const Session& session, const ChangeOptions& options) {
  return on_each(session, options, [&](FatUser& user, const std::string& path) {
    return user.remove(path, options.flag);
  });
}

Result<> touch(const Session& session, const ChangeOptions& options) {
  return on_each(session, options, [](FatUser& user, const std::string& path) {
    return user.touch(path, {std::time(nullptr), 0});
  });
}

Result<> mv(const Session& session, const ChangeOptions& options) {
  return change_fat(session, options.disk, {},
                    [&](FatUser& user) { return user.move(options.from, options.to); });
}

Result<> cp(const Session& session, const ChangeOptions& options) {
  return change_with_bar(
      session, options, [&](FatUser& user) { return user.bytes_below(options.from); },
      [&](FatUser& user) { return user.copy(options.from, options.to); });
}

using Run = Result<> (*)(const Session&, const ChangeOptions&);

std::pair<CLI::App*, std::shared_ptr<ChangeOptions>> add_command(CLI::App& fat, Session& session,
                                                                 const char* name, const char* help,
                                                                 Run run) {
  auto options = std::make_shared<ChangeOptions>();
  CLI::App* command = fat.add_subcommand(name, help);
  add_fat_disk(*command, options->disk);
  runs(*command, session, options, run);
  return {command, options};
}

void add_paths(CLI::App& command, ChangeOptions& options, const char* help) {
  command.add_option("path", options.paths, help)->type_name("PATH")->required();
}

void add_pair(CLI::App& command, ChangeOptions& options, const char* from, const char* to) {
  command.add_option("from", options.from, from)->type_name("FROM")->required();
  command.add_option("to", options.to, to)->type_name("TO")->required();
}

}  // namespace

void add_fat_change_commands(CLI::App& fat, Session& session) {
  const auto [add_app, added] =
      add_command(fat, session, "add", "Copy files and directories of the host to the volume", add);
  add_paths(*add_app, *added, "Files and directories, with all that lies below");
  add_app->add_option("-C,--directory", added->directory, "Where the paths start from")
      ->type_name("DIR")
      ->capture_default_str();
  add_app->add_option("--to", added->to, "The volume's directory to copy to; it is made")
      ->type_name("PATH");
  add_app->add_flag("--json", added->json, "As JSON, without a progress bar");

  const auto [put_app, put_options] =
      add_command(fat, session, "put", "Copy one file of the host, or standard input (-)", put);
  put_app->add_option("from", put_options->from, "The host's file, or -")
      ->type_name("FROM")
      ->required();
  put_app->add_option("to", put_options->to, "The volume's file or directory (default: its root)")
      ->type_name("TO");

  const auto [mkdir_app, made] = add_command(fat, session, "mkdir", "Make directories", mkdir);
  add_paths(*mkdir_app, *made, "Directories of the volume");
  mkdir_app->add_flag("-p,--parents", made->flag, "With those above; no error if it is there");

  const auto [rm_app, removed] =
      add_command(fat, session, "rm", "Remove files and directories", rm);
  add_paths(*rm_app, *removed, "Of the volume");
  rm_app->add_flag("-r,--recursive", removed->flag, "With all that lies below");

  const auto [mv_app, moved] =
      add_command(fat, session, "mv", "Rename, or move; over an existing file at once", mv);
  add_pair(*mv_app, *moved, "File or directory", "New name, or the directory to move to");

  const auto [cp_app, copied] =
      add_command(fat, session, "cp", "Copy within the volume, directories with all below", cp);
  add_pair(*cp_app, *copied, "File or directory", "New name, or the directory to copy to");

  const auto [touch_app, touched] =
      add_command(fat, session, "touch", "Set times to now; make files that are not there", touch);
  add_paths(*touch_app, *touched, "Of the volume");
}

}  // namespace splitring::tools
