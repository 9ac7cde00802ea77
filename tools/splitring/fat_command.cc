// splitring fat: FAT volumes on disks.
#include <array>
#include <cstdio>
#include <ctime>

#include "tools/common/partition_hint.h"
#include "tools/splitring/fat_marks.h"
#include "tools/splitring/fat_session.h"

namespace splitring::tools {

Result<std::unique_ptr<OpenFat>> open_fat(const Session& session, const std::string& disk,
                                          bool read_only) {
  auto fat = std::make_unique<OpenFat>(OpenFat{Disks(session.host), {}, {}, {}});
  fat->disk = TRY(fat->disks.open(disk, read_only));
  fat->lane = TRY(fat->disk->open_queue({}));
  auto volume = FatVolume::open(*fat->lane, {.read_only = read_only});
  if (!volume) return fail_on_disk(*fat->lane, disk, volume.error());
  fat->volume = std::move(*volume);
  for (const std::string& note : fat->volume->notes())
    std::fprintf(stderr, "splitring: fat: %s\n", printable(note).c_str());
  return fat;
}

Result<> change_fat(const Session& session, const std::string& disk, FatUser::Progress progress,
                    const std::function<Result<>(FatUser&)>& work) {
  const auto fat = TRY(open_fat(session, disk, false));
  FatUser user(*fat->volume, *fat->lane, std::move(progress));
  auto done = work(user);
  auto closed = fat->volume->close(*fat->lane);
  return done ? closed : done;
}

void add_fat_disk(CLI::App& command, std::string& disk) {
  command.add_option("disk", disk, "The disk with the volume")->type_name("DISK")->required();
}

std::string fat_listing(const std::string& path, const FatStat& stat) {
  const auto seconds = static_cast<std::time_t>(stat.modified.s);
  std::tm parts{};
  std::array<char, 32> time{};
  if (localtime_r(&seconds, &parts) == nullptr ||
      std::strftime(time.data(), time.size(), "%Y-%m-%d %H:%M", &parts) == 0)
    time = {'-'};
  std::array<char, 80> front{};
  std::snprintf(front.data(), front.size(), "%c%s %12llu  %s  ", stat.is_directory ? 'd' : '-',
                fat_marks_text(stat.flags).c_str(), static_cast<unsigned long long>(stat.size),
                time.data());
  return front.data() + printable(path);
}

void add_fat_command(CLI::App& program, Session& session) {
  CLI::App* command = program.add_subcommand("fat", "FAT volumes on disks");
  command->require_subcommand(1);
  command->footer(
      "A partition is a disk too: raw:stick.img#1.\n"
      "Examples:\n"
      "  splitring fat create raw:stick.img --size 1G --label PHOTOS\n"
      "  splitring fat add raw:stick.img -C ~/pictures holidays\n"
      "  splitring fat ls raw:stick.img -r\n"
      "  splitring fat cat raw:stick.img holidays/notes.txt\n"
      "  splitring fat get raw:stick.img holidays /tmp/back\n"
      "  splitring fat mv raw:stick.img holidays/notes.txt notes.txt\n"
      "  splitring fat attr raw:stick.img notes.txt +rh -a\n"
      "  splitring fat check raw:stick.img --repair");
  add_fat_make_commands(*command, session);
  add_fat_read_commands(*command, session);
  add_fat_change_commands(*command, session);
  add_fat_attr_command(*command, session);
  add_fat_shell_command(*command, session);
}

}  // namespace splitring::tools
