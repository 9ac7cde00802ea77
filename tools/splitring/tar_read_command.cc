// splitring tar extract, verify, index: the archive as a whole, to the host or for its own sake.
#include <cstdio>
#include <filesystem>

#include "base/parse.h"
#include "tools/common/archive.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/progress_bar.h"
#include "tools/splitring/tar_extract.h"
#include "tools/splitring/tar_session.h"

namespace splitring::tools {
namespace {

struct ReadOptions {
  TarChoice archive;
  std::vector<std::string> paths;
  std::string directory;
  bool overwrite = false;
  bool same_owner = false;
  bool json = false;
};

TarWork make_work(const OpenTar& tar, const ReadOptions& options, ProgressBar& bar) {
  TarWork work{*tar.files, *tar.lane, {}, {}, {}};
  for (const std::string& path : options.paths) work.paths.push_back(TarIndex::normalize(path));
  work.progress = [&bar](uint64_t done, uint64_t total) { bar.show(done, total); };
  work.complain = [&bar](const std::string& what) {
    bar.clear();
    std::fprintf(stderr, "splitring: tar: %s\n", printable(what).c_str());
  };
  return work;
}

void report(const char* verb, const TarTally& tally, bool json) {
  if (json)
    print_json(
        {{"entries", tally.entries}, {"bytes", tally.bytes}, {"complaints", tally.complaints}});
  else
    std::printf("%s %llu entries, %s\n", verb, static_cast<unsigned long long>(tally.entries),
                format_bytes(tally.bytes).c_str());
}

Result<> extract(const Session& session, const ReadOptions& options) {
  const auto tar = TRY(open_tar(session, options.archive));
  const TarPlace place =
      TRY(TarPlace::open(options.directory, options.overwrite, options.same_owner));
  ProgressBar bar(!options.json);
  const TarTally tally = TRY(extract_tar(make_work(*tar, options, bar), place));
  bar.clear();
  report("extracted", tally, options.json);
  if (tally.complaints != 0)
    return fail(Errc::kConflict, std::to_string(tally.complaints) +
                                     " entries were not extracted as the archive has them");
  return {};
}

Result<> verify(const Session& session, const ReadOptions& options) {
  const auto tar = TRY(open_tar(session, options.archive));
  std::optional<TarPlace> place;
  if (!options.directory.empty()) {
    if (!std::filesystem::is_directory(options.directory))
      return fail(Errc::kNotFound, options.directory + ": no directory to compare with");
    place = TRY(TarPlace::open(options.directory, false, false));
  }
  ProgressBar bar(!options.json);
  const TarTally tally = TRY(verify_tar(make_work(*tar, options, bar), place ? &*place : nullptr));
  bar.clear();
  report("verified", tally, options.json);
  if (tally.complaints != 0)
    return fail(Errc::kConflict, std::to_string(tally.complaints) + " entries differ");
  if (const uint64_t warnings = tar->files->warning_count(); warnings != 0)
    return fail(Errc::kInvalid, std::to_string(warnings) + " faults in the archive");
  return {};
}

Result<> save_index(const Session& session, const ReadOptions& options) {
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.archive.disk, true));
  for (const std::string& path : TRY(save_archive_index(*disk, options.archive.disk)))
    std::printf("saved %s\n", path.c_str());
  return {};
}

void add_extract(CLI::App& tar, Session& session) {
  auto options = std::make_shared<ReadOptions>();
  options->directory = ".";
  CLI::App* command = tar.add_subcommand("extract", "Make the archive's entries in a directory");
  add_disk_option(*command, options->archive.disk);
  command->add_option("path", options->paths, "Only these, with all that lies below")
      ->type_name("PATH");
  command->add_option("-C,--directory", options->directory, "Where to; made if it is not there")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_flag("--overwrite", options->overwrite, "Replace what exists");
  command->add_flag("--same-owner", options->same_owner,
                    "Owners and set-id bits as in the archive (needs root)");
  add_joined_option(*command, options->archive.joined);
  command->add_flag("--json", options->json, "As JSON, without a progress bar");
  runs(*command, session, options, extract);
}

void add_verify(CLI::App& tar, Session& session) {
  auto options = std::make_shared<ReadOptions>();
  CLI::App* command =
      tar.add_subcommand("verify", "Read all of the archive, or compare it with a directory");
  add_disk_option(*command, options->archive.disk);
  command->add_option("path", options->paths, "Only these, with all that lies below")
      ->type_name("PATH");
  command->add_option("-C,--directory", options->directory, "Compare with what is there")
      ->type_name("DIR");
  add_joined_option(*command, options->archive.joined);
  command->add_flag("--json", options->json, "As JSON, without a progress bar");
  runs(*command, session, options, verify);
}

void add_index(CLI::App& tar, Session& session) {
  auto options = std::make_shared<ReadOptions>();
  CLI::App* command = tar.add_subcommand(
      "index", "Save the archive's index beside its image, so that it opens at once");
  add_disk_option(*command, options->archive.disk);
  runs(*command, session, options, save_index);
}

}  // namespace

void add_tar_read_commands(CLI::App& tar, Session& session) {
  add_extract(tar, session);
  add_verify(tar, session);
  add_index(tar, session);
}

}  // namespace splitring::tools
