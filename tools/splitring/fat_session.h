// What the commands upon a FAT volume share.
#pragma once

#include <memory>
#include <string>

#include "blkimage/block_device.h"
#include "fs/fat/fat_volume.h"
#include "tools/common/disks.h"
#include "tools/splitring/command.h"
#include "tools/splitring/fat_user.h"

namespace splitring::tools {

// A disk with a volume on it, mounted.
struct OpenFat {
  Disks disks;
  std::unique_ptr<BlockDevice> disk;
  std::unique_ptr<BlockQueue> lane;
  std::unique_ptr<FatVolume> volume;
};

// What recovery did goes to standard error.
Result<std::unique_ptr<OpenFat>> open_fat(const Session& session, const std::string& disk,
                                          bool read_only);
// Runs `work` on a volume to be changed, and closes it whether that went well or not.
Result<> change_fat(const Session& session, const std::string& disk, FatUser::Progress progress,
                    const std::function<Result<>(FatUser&)>& work);

void add_fat_disk(CLI::App& command, std::string& disk);
std::string fat_listing(const std::string& path, const FatStat& stat);

// Each declares commands below `fat`.
void add_fat_make_commands(CLI::App& fat, Session& session);  // create, label, info, check
void add_fat_read_commands(CLI::App& fat, Session& session);  // ls, cat, get
void add_fat_change_commands(CLI::App& fat,
                             Session& session);  // add, put, mkdir, rm, mv, cp, touch
void add_fat_attr_command(CLI::App& fat, Session& session);
void add_fat_shell_command(CLI::App& fat, Session& session);

}  // namespace splitring::tools
