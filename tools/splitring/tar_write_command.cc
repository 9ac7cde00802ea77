// splitring tar create, append: the host's files to an archive on a disk.
#include <unistd.h>

#include <cstdio>

#include "base/parse.h"
#include "fs/tar/tar_output.h"
#include "tools/common/growable_image.h"
#include "tools/splitring/blank_disk.h"
#include "tools/splitring/json_output.h"
#include "tools/splitring/progress_bar.h"
#include "tools/splitring/tar_pack.h"
#include "tools/splitring/tar_session.h"

namespace splitring::tools {
namespace {

struct WriteOptions {
  std::string disk;
  PackOptions pack;
  bool overwrite = false;
  bool repair = false;
  bool json = false;
};

Result<PackList> list(const WriteOptions& options) {
  PackList packed = TRY(list_for_packing(options.pack));
  for (const std::string& note : packed.left_out)
    std::fprintf(stderr, "splitring: tar: left out %s\n", printable(note).c_str());
  return packed;
}

Result<> write(const PackList& packed, BlockQueue& lane, uint64_t begin,
               const WriteOptions& options) {
  ProgressBar bar(!options.json);
  uint64_t done = 0;
  TarOutput output(lane, begin);
  TRY_VOID(output.start());
  const uint64_t changed = TRY(
      pack(packed, output, [&](uint64_t bytes) { bar.show(done += bytes, packed.file_bytes); }));
  TRY_VOID(output.finish());
  bar.clear();
  if (options.json)
    print_json({{"entries", packed.items.size()},
                {"bytes", packed.file_bytes},
                {"begin", begin},
                {"end", output.offset()}});
  else
    std::printf("%s %zu entries, %s\n", begin == 0 ? "archived" : "appended", packed.items.size(),
                format_bytes(packed.file_bytes).c_str());
  if (changed != 0)
    return fail(Errc::kConflict, std::to_string(changed) +
                                     " files became shorter or went while they were read; zeroes "
                                     "stand for what is missing");
  return {};
}

Result<> create(const Session& session, const WriteOptions& options) {
  const PackList packed = TRY(list(options));
  const uint64_t bytes = TarOutput::end_of_archive(packed.archive_bytes);
  const auto file = growable_image(options.disk);
  if (file) TRY_VOID(grow_image(*file, 0));
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, false));
  const auto lane = TRY(disk->open_queue({}));
  if (!options.overwrite && !TRY(is_blank(*lane)))
    return fail(
        Errc::kExists,
        options.disk + " holds something: --overwrite destroys it, `tar append` adds to it");
  if (file) {
    TRY_VOID(grow_image(*file, bytes));
    TRY_VOID(disk->refresh_capacity());
  }
  if (disk->geometry().capacity.bytes() < packed.archive_bytes + 2 * kTarBlockBytes)
    return fail(Errc::kNoSpace,
                options.disk + ": the archive needs " + std::to_string(bytes) + " bytes");
  TRY_VOID(write(packed, *lane, 0, options));
  // Of what was longer before, nothing stays.
  if (file && ::truncate(file->c_str(), static_cast<off_t>(bytes)) != 0)
    return fail_errno(*file, errno);
  return {};
}

// Where the new members go.
Result<uint64_t> end_of(BlockQueue& lane, const WriteOptions& options) {
  const auto scanned = TarFileSystem::open(lane);
  if (!scanned) return fail_within(options.disk, scanned.error());
  const TarEnd& end = (*scanned)->end();
  const std::string where = options.disk + ": at byte " + std::to_string(end.offset) + " ";
  if (end.cause == TarEnd::Cause::kDamage)
    return fail(Errc::kInvalid, where + "the archive is damaged: nothing can be appended");
  if (end.cause == TarEnd::Cause::kLoneZero && !options.repair)
    return fail(Errc::kInvalid,
                where +
                    "lies a lone zero block: an append did not finish, or the archive is "
                    "damaged; --repair puts the new members there, over what follows");
  return end.offset;
}

Result<> append(const Session& session, const WriteOptions& options) {
  const PackList packed = TRY(list(options));
  if (packed.items.empty()) return {};
  Disks disks(session.host);
  const auto disk = TRY(disks.open(options.disk, false));
  const auto lane = TRY(disk->open_queue({}));
  const uint64_t begin = TRY(end_of(*lane, options));
  const uint64_t bytes = TarOutput::end_of_archive(begin + packed.archive_bytes);
  // Zeroes behind an archive are padding: a cut between leaves the old one.
  if (const auto file = growable_image(options.disk)) {
    TRY_VOID(grow_image(*file, bytes));
    TRY_VOID(disk->refresh_capacity());
  }
  if (disk->geometry().capacity.bytes() < begin + packed.archive_bytes + 2 * kTarBlockBytes)
    return fail(Errc::kNoSpace,
                options.disk + ": the new members do not fit behind byte " + std::to_string(begin));
  return write(packed, *lane, begin, options);
}

void add_common(CLI::App& command, WriteOptions& options) {
  add_disk_option(command, options.disk);
  command.add_option("path", options.pack.paths, "Files and directories, with all that lies below")
      ->type_name("PATH")
      ->required();
  command.add_option("-C,--directory", options.pack.directory, "Where the paths start from")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_flag("--reproducible", options.pack.reproducible,
                   "The same bytes for the same tree: no owners, times of $SOURCE_DATE_EPOCH");
  command.add_flag("--json", options.json, "As JSON, without a progress bar");
}

}  // namespace

void add_tar_write_commands(CLI::App& tar, Session& session) {
  auto created = std::make_shared<WriteOptions>();
  CLI::App* create_command = tar.add_subcommand("create", "Archive files on a disk");
  add_common(*create_command, *created);
  create_command->add_flag("--overwrite", created->overwrite, "Destroy what the disk holds");
  runs(*create_command, session, created, create);

  auto appended = std::make_shared<WriteOptions>();
  CLI::App* append_command =
      tar.add_subcommand("append", "Add files to an archive, all of them or none");
  add_common(*append_command, *appended);
  append_command->add_flag("--repair", appended->repair,
                           "Also behind an append that did not finish");
  runs(*append_command, session, appended, append);
}

}  // namespace splitring::tools
