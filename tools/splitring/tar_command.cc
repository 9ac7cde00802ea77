// splitring tar: looks into a tar archive on a disk.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "tools/common/archive.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/tar_session.h"
#include "tools/splitring/time_text.h"

namespace splitring::tools {
namespace {

constexpr size_t kReadBytes = 1U << 20;

struct TarOptions {
  TarChoice archive;
  std::string path;
  bool recursive = false;
  bool json = false;
};

const char* to_string(TarKind kind) {
  switch (kind) {
    case TarKind::kFile: return "file";
    case TarKind::kDirectory: return "directory";
    case TarKind::kSymlink: return "symlink";
    case TarKind::kHardLink: return "hardlink";
    case TarKind::kSpecial: return "special";
  }
  return "unknown";
}

void print_entry(const TarEntry& entry) {
  const std::string link = entry.link.empty() ? "" : " -> " + std::string(entry.link);
  std::printf("%-9s %04o %12llu  %s  %s\n", to_string(entry.kind), entry.mode & 07777U,
              static_cast<unsigned long long>(entry.size), format_time(entry.mtime_s).c_str(),
              printable(std::string(entry.path) + link).c_str());
}

nlohmann::json to_json(const TarEntry& entry) {
  return {{"path", entry.path},    {"kind", to_string(entry.kind)},
          {"size", entry.size},    {"mtime", entry.mtime_s},
          {"mode", entry.mode},    {"link", entry.link},
          {"uid", entry.uid},      {"gid", entry.gid},
          {"sparse", entry.sparse}};
}

Result<TarEntry> resolve(const TarFileSystem& files, const std::string& path) {
  const auto entry = files.resolve(path);
  if (!entry) return fail(Errc::kNotFound, path + ": no such entry in the archive");
  return *entry;
}

bool is_below(const TarEntry& entry, std::string_view directory) {
  return directory.empty() ||
         (entry.path.starts_with(directory) && entry.path.size() > directory.size() &&
          entry.path[directory.size()] == '/');
}

Result<std::vector<TarEntry>> entries_to_show(const TarFileSystem& files,
                                              const TarOptions& options) {
  const TarEntry start = TRY(resolve(files, options.path));
  if (start.kind != TarKind::kDirectory) return std::vector<TarEntry>{start};
  if (!options.recursive) return files.list(start.path);
  std::vector<TarEntry> entries;
  files.for_each([&](const TarEntry& entry) {
    if (is_below(entry, start.path)) entries.push_back(entry);
  });
  return entries;
}

Result<> list_tar(const Session& session, const TarOptions& options) {
  const auto tar = TRY(open_tar(session, options.archive));
  const std::vector<TarEntry> entries = TRY(entries_to_show(*tar->files, options));
  if (!options.json) {
    for (const TarEntry& entry : entries) print_entry(entry);
    return {};
  }
  nlohmann::json array = nlohmann::json::array();
  for (const TarEntry& entry : entries) array.push_back(to_json(entry));
  print_json(array);
  return {};
}

Result<> print_file(const Session& session, const TarOptions& options) {
  const auto tar = TRY(open_tar(session, options.archive));
  const TarEntry file = TRY(resolve(*tar->files, options.path));
  std::vector<std::byte> buffer(kReadBytes);
  for (uint64_t offset = 0;;) {
    const size_t count = TRY(tar->files->read(*tar->lane, file, offset, buffer));
    if (count == 0) break;
    if (std::fwrite(buffer.data(), 1, count, stdout) != count)
      return fail_errno("writing to standard output", errno);
    offset += count;
  }
  if (std::fflush(stdout) != 0) return fail_errno("writing to standard output", errno);
  return {};
}

void add_list(CLI::App& parent, Session& session) {
  auto options = std::make_shared<TarOptions>();
  CLI::App* command = parent.add_subcommand("ls", "Show a directory of the archive");
  add_disk_option(*command, options->archive.disk);
  command->add_option("path", options->path, "Directory or file (default: the root)")
      ->type_name("PATH");
  command->add_flag("-r,--recursive", options->recursive, "With all that lies below");
  add_joined_option(*command, options->archive.joined);
  command->add_flag("--json", options->json, "As JSON");
  runs(*command, session, options, list_tar);
}

void add_cat(CLI::App& parent, Session& session) {
  auto options = std::make_shared<TarOptions>();
  CLI::App* command =
      parent.add_subcommand("cat", "Write a file of the archive to standard output");
  add_disk_option(*command, options->archive.disk);
  command->add_option("path", options->path, "The file")->type_name("PATH")->required();
  add_joined_option(*command, options->archive.joined);
  runs(*command, session, options, print_file);
}

}  // namespace

Result<std::unique_ptr<OpenTar>> open_tar(const Session& session, const TarChoice& choice) {
  auto tar = std::make_unique<OpenTar>(OpenTar{Disks(session.host), {}, {}, {}});
  tar->disk = TRY(tar->disks.open(choice.disk, true));
  tar->lane = TRY(tar->disk->open_queue({}));
  tar->files = TRY(open_archive(*tar->lane, choice.disk, {.stop_at_end = !choice.joined}));
  for (const std::string& warning : tar->files->warnings())
    std::fprintf(stderr, "splitring: tar: warning: %s\n", printable(warning).c_str());
  return tar;
}

void add_disk_option(CLI::App& command, std::string& disk) {
  command.add_option("disk", disk, "The disk with the archive")->type_name("DISK")->required();
}

void add_joined_option(CLI::App& command, bool& joined) {
  command.add_flag("-i,--ignore-zeros", joined,
                   "Read on behind the archive's end, where another may be joined to it");
}

void add_tar_command(CLI::App& program, Session& session) {
  CLI::App* command = program.add_subcommand("tar", "Tar archives on disks");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  splitring tar create raw:docs.tar -C /srv/docs .\n"
      "  splitring tar ls raw:docs.tar manual/en\n"
      "  splitring tar ls vbd:xvda --recursive --json\n"
      "  splitring tar cat raw:docs.tar index.html > index.html\n"
      "  splitring tar append raw:docs.tar -C /srv/docs news.html\n"
      "  splitring tar extract vbd:xvda -C /tmp/docs");
  add_tar_write_commands(*command, session);
  add_list(*command, session);
  add_cat(*command, session);
  add_tar_read_commands(*command, session);
}

}  // namespace splitring::tools
